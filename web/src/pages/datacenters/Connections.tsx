import { Stack, Text } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { Connection } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { DatacenterLink, ResourceLink } from '../../kit/links';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';

/** With what it is connected, and how that is. */
export function Connections({ datacenter, query }: Props) {
  return (
    <Panel title="Connections" query={query}>
      {({ connections }) => (
        <DataTable
          label="connections"
          rows={connections}
          columns={columns(datacenter)}
          rowKey={(c) => `${c.kind} ${c.name} ${c.a} ${c.b}`}
          empty={<Empty title="It is connected with nothing">Peer it, or let it join a federation.</Empty>}
        />
      )}
    </Panel>
  );
}

interface Props {
  datacenter: string;
  query: UseQueryResult<{ connections: Connection[] }>;
}

function columns(datacenter: string): Column<Connection>[] {
  const other = (c: Connection) => (c.a === datacenter ? c.b : c.a);
  return [
    { id: 'with', header: 'With', value: other, cell: (c) => <DatacenterLink name={other(c)} /> },
    { id: 'kind', header: 'By', value: (c) => c.kind, facet: true },
    {
      id: 'name',
      header: 'Name',
      value: (c) => c.name,
      cell: (c) => <ResourceLink kind={c.kind === 'peering' ? 'Peering' : 'Federation'} name={c.name} />,
    },
    {
      id: 'verdict',
      header: 'Verdict',
      value: (c) => c.verdict,
      facet: true,
      cell: (c) => <StateBadge state={c.verdict} />,
    },
    { id: 'since', header: 'Since', value: (c) => c.since ?? '', cell: (c) => <Ago time={c.since} /> },
    { id: 'broken', header: 'Nothing arrives', value: (c) => direction(c) },
    {
      id: 'message',
      header: 'Why',
      value: (c) => [c.message, c.fix].filter((t) => t !== '').join(' '),
      cell: (c) => (
        <Stack gap={2} miw={200}>
          <Text size="sm">{c.message}</Text>
          {c.fix !== '' && c.verdict !== 'healthy' && (
            <Text size="sm" fw={600}>
              {c.fix}
            </Text>
          )}
        </Stack>
      ),
    },
  ];
}

function direction(c: Connection): string {
  if (c.broken === 'a-to-b') return `at ${c.b}`;
  if (c.broken === 'b-to-a') return `at ${c.a}`;
  return c.broken === 'both' ? 'at either end' : '';
}
