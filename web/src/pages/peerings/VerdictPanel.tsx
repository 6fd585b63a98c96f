import { Group, Stack, Text } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { Connection, Peering } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { Command } from '../../kit/Copy';
import { Facts } from '../../kit/Facts';
import { Labels } from '../../kit/Labels';
import { ResourceLink } from '../../kit/links';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { Direction } from './Direction';
import { commandIn } from './fix';
import { brokenText, verdictOf } from './peering';

interface Props {
  query: UseQueryResult<Peering>;
  /** The verdict of this moment with its evidence; undefined while it is not known. */
  connection: Connection | undefined;
}

/** What is so, since when, why, and what to do. */
export function VerdictPanel({ query, connection }: Props) {
  return (
    <Panel title="Verdict" query={query}>
      {(p) => {
        const { status, spec } = p;
        const fix = connection?.fix ?? '';
        const broken = brokenText(p);
        return (
          <Stack gap="sm">
            <Direction peering={p} />
            <Group gap="xs" align="baseline">
              <StateBadge state={verdictOf(p)} />
              <Text size="sm">
                since <Ago time={status?.verdictSince} none="an unknown time" />
                {broken === '' ? '' : `: ${broken}`}
              </Text>
            </Group>
            <Text size="sm">
              <b>{status?.reason}</b> {connection?.message || status?.message}
            </Text>
            {fix !== '' && <Fix text={fix} peering={p.name} />}
            <Facts
              facts={[
                ['Consul says', status?.state],
                [
                  'Owned by group',
                  status?.group ? (
                    <>
                      <ResourceLink kind="PeeringGroup" name={status.group} />, which is what to edit
                    </>
                  ) : undefined,
                ],
                ['Labels', <Labels key="labels" labels={p.labels} />],
                ['Through mesh gateways', throughText(spec?.throughGateways)],
                ['External addresses', spec?.serverExternalAddresses.join(', ') || undefined],
                ['Declared', <Ago key="declared" time={p.createTime} />],
              ]}
            />
          </Stack>
        );
      }}
    </Panel>
  );
}

function throughText(through: boolean | undefined): string {
  if (through === undefined) return 'as the mesh entries say';
  return through ? 'yes' : 'no';
}

/** What to do, with a button that copies it when it is a command. */
function Fix({ text, peering }: { text: string; peering: string }) {
  const command = commandIn(text, peering);
  return (
    <div>
      <Text size="sm" fw={600} component="h3">
        What to do
      </Text>
      {command !== text && <Text size="sm">{text}</Text>}
      {command !== undefined && <Command text={command} what="the command that helps" />}
    </div>
  );
}
