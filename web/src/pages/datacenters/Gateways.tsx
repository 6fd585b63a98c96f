import { useQuery } from '@tanstack/react-query';
import { list } from '../../api/queries';
import type { Gateway } from '../../api/types';
import { Copyable } from '../../kit/Copy';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';

/** Its mesh gateways: at which addresses others reach them. */
export function Gateways({ datacenter }: { datacenter: string }) {
  const query = useQuery({
    ...list('Gateway'),
    select: (all) => all.filter((g) => g.spec?.datacenter === datacenter),
  });
  return (
    <Panel title="Mesh gateways" query={query}>
      {(gateways) => (
        <DataTable
          label="gateways"
          rows={gateways}
          columns={columns}
          rowKey={(g) => g.uid}
          prefix="gateway-"
          searchable={false}
          empty={
            <Empty title="No mesh gateway">
              Agents find those that Consul knows. <code>isthmus gateway</code> is one that needs no Envoy.
            </Empty>
          }
        />
      )}
    </Panel>
  );
}

const health = words<string>({ passing: 'healthy', warning: 'stale', critical: 'failing' });

const columns: Column<Gateway>[] = [
  { id: 'name', header: 'Gateway', value: (g) => g.name },
  {
    id: 'wan',
    header: 'From other datacenters',
    value: (g) => g.spec?.wanAddress ?? '',
    cell: (g) => <Copyable text={g.spec?.wanAddress ?? ''} what={`the WAN address of ${g.name}`} />,
  },
  {
    id: 'lan',
    header: 'Inside',
    value: (g) => g.spec?.lanAddress ?? '',
    cell: (g) => <span className="mono">{g.spec?.lanAddress}</span>,
  },
  {
    id: 'source',
    header: 'Source',
    value: (g) => (g.spec?.source === 'discovered' ? 'discovered' : 'static'),
    facet: true,
  },
  {
    id: 'health',
    header: 'Health',
    value: (g) => g.status?.health ?? '',
    cell: (g) => (
      <StateBadge
        state={g.status?.health ?? 'unknown'}
        look={verdictLook(health[g.status?.health ?? ''] ?? 'unknown')}
      />
    ),
  },
  {
    id: 'federation',
    header: 'Serves WAN federation',
    value: (g) => (g.status?.wanFederation === true ? 'yes' : 'no'),
  },
];
