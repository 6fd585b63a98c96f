import { Button } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { fleet } from '../../api/queries';
import type { Fleet, FleetDatacenter } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { Labels } from '../../kit/Labels';
import { labelsText } from '../../kit/labels';
import { PageLink, ResourceLink } from '../../kit/links';
import { Page } from '../../kit/Page';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { useSession } from '../../shell/context';
import { NewDatacenter } from './NewDatacenter';

interface Row extends FleetDatacenter {
  links: number;
  broken: number;
}

/** All datacenters: health, Consul, agents, connections. */
export default function DatacentersPage() {
  const { mayOperate } = useSession();
  const query = useQuery(fleet());
  const [opened, { open, close }] = useDisclosure();
  return (
    <Page title="Datacenters" actions={mayOperate && <Button onClick={open}>Declare a datacenter</Button>}>
      <Panel title="All datacenters" query={query}>
        {(data) => <List fleet={data} />}
      </Panel>
      {mayOperate && <NewDatacenter opened={opened} onClose={close} />}
    </Page>
  );
}

function List({ fleet: { datacenters, links } }: { fleet: Fleet }) {
  const rows = useMemo(() => countLinks({ datacenters, links }), [datacenters, links]);
  return (
    <DataTable
      label="datacenters"
      rows={rows}
      columns={columns}
      rowKey={(d) => d.name}
      sort="name"
      recycled
      empty={
        <Empty title="No datacenter is declared">
          Declare one, here or with a manifest of kind Datacenter, then enrol its agent: Access, join tokens.
        </Empty>
      }
    />
  );
}

function countLinks({ datacenters, links }: Pick<Fleet, 'datacenters' | 'links'>): Row[] {
  const all = new Map<string, number>();
  const broken = new Map<string, number>();
  const add = (to: Map<string, number>, name: string) => to.set(name, (to.get(name) ?? 0) + 1);
  for (const link of links) {
    for (const end of [link.a, link.b]) {
      add(all, end);
      if (link.verdict !== 'healthy') add(broken, end);
    }
  }
  return datacenters.map((d) => ({ ...d, links: all.get(d.name) ?? 0, broken: broken.get(d.name) ?? 0 }));
}

const columns: Column<Row>[] = [
  {
    id: 'name',
    header: 'Datacenter',
    value: (d) => d.name,
    cell: (d) => (
      <PageLink to={`/datacenters/${encodeURIComponent(d.name)}`} strong>
        {d.name}
      </PageLink>
    ),
  },
  {
    id: 'health',
    header: 'Health',
    value: (d) => d.health,
    facet: true,
    cell: (d) => (
      <StateBadge
        state={d.health}
        hint={[d.reason, d.message, d.fix].filter((t) => t !== '' && d.health !== 'healthy').join(': ')}
      />
    ),
  },
  { id: 'since', header: 'Since', value: (d) => d.since ?? '', cell: (d) => <Ago time={d.since} /> },
  {
    id: 'reason',
    header: 'Reason',
    value: (d) => (d.health === 'healthy' ? '' : d.reason),
    facet: true,
  },
  { id: 'runtime', header: 'Runtime', value: (d) => d.runtime, facet: true },
  { id: 'version', header: 'Consul', value: (d) => d.consulVersion, facet: true },
  {
    id: 'servers',
    header: 'Servers',
    value: (d) => d.servers,
    cell: (d) => (d.leader === '' && d.servers > 0 ? `${d.servers}, no leader` : d.servers),
  },
  { id: 'services', header: 'Services', value: (d) => d.services },
  {
    id: 'links',
    header: 'Connections',
    value: (d) => d.links,
    cell: (d) => (d.broken === 0 ? d.links : `${d.links}, ${d.broken} not healthy`),
  },
  {
    id: 'federation',
    header: 'Federation',
    value: (d) => d.federation,
    facet: true,
    cell: (d) =>
      d.federation === '' ? (
        '–'
      ) : (
        <>
          <ResourceLink kind="Federation" name={d.federation} /> ({d.role})
        </>
      ),
  },
  {
    id: 'agents',
    header: 'Agents',
    value: (d) => `${d.agentsOnline} of ${d.agents}`,
    cell: (d) => <span className="num">{`${d.agentsOnline} of ${d.agents}`}</span>,
  },
  {
    id: 'labels',
    header: 'Labels',
    value: (d) => labelsText(d.labels),
    cell: (d) => <Labels labels={d.labels} />,
  },
];
