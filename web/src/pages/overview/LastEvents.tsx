import { Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { events } from '../../api/queries';
import { Ago } from '../../kit/Ago';
import { Empty } from '../../kit/Empty';
import { PageLink, ResourceLink } from '../../kit/links';
import { Panel } from '../../kit/Panel';
import { useScope } from '../../shell/scope';
import classes from './graph.module.css';
import { cut } from './scene';

/** What happened last: the newest entries of the audit log. */
export function LastEvents() {
  const { datacenter, scoped } = useScope();
  const target = datacenter === '' ? {} : { kind: 'Datacenter', target: datacenter };
  const query = useQuery(events(target, 12));
  return (
    <Panel title="Last events" query={query} actions={<PageLink to={scoped('/events')}>All events</PageLink>}>
      {(data) =>
        data.events.length === 0 ? (
          <Empty title="Nothing has happened yet" />
        ) : (
          <ol className={classes.list}>
            {data.events.map(({ name, createTime, spec }) => (
              <li key={name} className={classes.event}>
                <b>{spec?.action}</b> {spec?.kind} <ResourceLink kind={spec?.kind ?? ''} name={spec?.target ?? ''} />
                {spec !== undefined && spec.message !== '' && `: ${cut(spec.message, 200)}`}
                <Text size="xs" c="dimmed">
                  {spec?.actor}, <Ago time={createTime} />
                </Text>
              </li>
            ))}
          </ol>
        )
      }
    </Panel>
  );
}
