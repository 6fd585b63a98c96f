import { Group, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { reachability } from '../../api/queries';
import type { ReachedGateway } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';
import { HeatMap } from './HeatMap';
import { matrixOf } from './matrix';
import { slowest } from './paint';
import classes from './members.module.css';

/** Who reaches whose gateways: as a square, and as a table. */
export function ReachabilityPanel({ federation }: { federation: string }) {
  const query = useQuery(reachability(federation));
  return (
    <Panel title="Who reaches whose gateways" query={query}>
      {({ cells }) => <Both cells={cells} />}
    </Panel>
  );
}

function Both({ cells }: { cells: ReachedGateway[] }) {
  const matrix = useMemo(() => matrixOf(cells), [cells]);
  if (cells.length === 0) {
    return (
      <Empty title="Nobody has tried yet">Agents try the gateways of the other datacenters once they are known.</Empty>
    );
  }
  const broken = matrix.cells.filter((c) => c !== undefined && c.reached !== 'yes').length;
  return (
    <Stack>
      <Group gap="sm">
        <Text size="sm" data-testid="reachability-summary">
          {broken === 0
            ? 'Everybody reaches everybody.'
            : broken === 1
              ? 'One pair is not proven.'
              : `${broken} pairs are not proven.`}
        </Text>
        <Text size="sm" c="dimmed">
          Rows dial, columns are dialled. A cross is not reached, a stroke in part, a question mark not known; the
          stronger the green, the slower, up to {slowest} ms.
        </Text>
      </Group>
      <HeatMap matrix={matrix} />
      <DataTable
        label="gateways dialled"
        rows={cells}
        columns={columns}
        rowKey={(c) => `${c.from} ${c.to} ${c.address}`}
        sort="reached"
        recycled
        height="50vh"
        empty={null}
      />
    </Stack>
  );
}

const looks = words<string>({ yes: 'healthy', no: 'failing' });

const columns: Column<ReachedGateway>[] = [
  { id: 'from', header: 'From', value: (c) => c.from, facet: true },
  { id: 'to', header: 'To', value: (c) => c.to, facet: true },
  {
    id: 'address',
    header: 'Gateway',
    value: (c) => c.address,
    cell: (c) => <span className={`mono ${classes.whole}`}>{c.address}</span>,
  },
  {
    id: 'reached',
    header: 'Reached',
    value: (c) => c.reached,
    facet: true,
    cell: (c) => <StateBadge state={c.reached} look={verdictLook(looks[c.reached] ?? 'unknown')} />,
  },
  { id: 'latency', header: 'Latency (ms)', value: (c) => (c.reached === 'yes' ? c.latencyMs : '') },
  { id: 'since', header: 'Since', value: (c) => c.since ?? '', cell: (c) => <Ago time={c.since} /> },
  { id: 'why', header: 'Why', value: (c) => [c.reason, c.message].filter((t) => t !== '').join(': ') },
];
