import { List, Text } from '@mantine/core';
import type { Intention } from '../../api/types';
import { Notice } from '../../kit/Notice';

type Problem = NonNullable<Intention['status']>['problems'][number];

/** What of a policy Consul cannot do, and what to do about that. */
export function Problems({ problems }: { problems: readonly Problem[] }) {
  return (
    <Notice warning title="Not all of it can be done">
      <List size="sm" spacing={4}>
        {problems.map((p) => (
          <List.Item key={`${p.reason} ${p.datacenter} ${p.field} ${p.message}`}>
            <b>{p.reason}</b> {p.datacenter !== '' && `in ${p.datacenter}`}{' '}
            {p.field !== '' && <span className="mono">{p.field}</span>}: {p.message}
            {p.fix !== '' && (
              <Text size="sm" fw={600}>
                {p.fix}
              </Text>
            )}
          </List.Item>
        ))}
      </List>
    </Notice>
  );
}
