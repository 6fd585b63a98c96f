import { Stack, Title } from '@mantine/core';
import type { FleetService, ServicePlace } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { DatacenterLink, PageLink } from '../../kit/links';
import { StateBadge } from '../../kit/StateBadge';
import { address, placeHealth } from './places';

/** One service: each datacenter that has it or sees it. */
export function Places({ service }: { service: FleetService }) {
  return (
    <Stack gap="xs">
      <Title order={3} size="h5">
        {service.name}
      </Title>
      <DataTable
        label={`places of ${service.name}`}
        rows={service.places}
        columns={columns(service)}
        rowKey={(p) => `${p.datacenter} ${p.peer}`}
        prefix="place-"
        searchable={service.places.length > 20}
        height="40vh"
        empty={<Empty title="No datacenter has it any more" />}
      />
    </Stack>
  );
}

function columns(service: FleetService): Column<ServicePlace>[] {
  return [
    {
      id: 'datacenter',
      header: 'Datacenter',
      value: (p) => p.datacenter,
      cell: (p) => <DatacenterLink name={p.datacenter} />,
    },
    {
      id: 'how',
      header: 'How',
      value: (p) => (p.peer === '' ? 'runs here' : `imported from ${p.from === '' ? `peer ${p.peer}` : p.from}`),
    },
    {
      id: 'health',
      header: 'Health',
      value: (p) => placeHealth(p).state,
      cell: (p) => <StateBadge {...placeHealth(p)} />,
    },
    { id: 'healthy', header: 'Healthy', value: (p) => p.healthy },
    { id: 'instances', header: 'Instances', value: (p) => p.instances },
    { id: 'mesh', header: 'Mesh', value: (p) => (p.mesh ? 'yes' : 'no') },
    { id: 'exported', header: 'Exported to', value: (p) => p.exportedTo.join(', ') || '–' },
    { id: 'federated', header: 'Seen by its federation', value: (p) => p.federatedTo.join(', ') || '–' },
    {
      id: 'seen',
      header: 'Seen',
      value: (p) => p.observeTime ?? '',
      cell: (p) => (p.current === true ? 'now' : <Ago time={p.observeTime} />),
    },
    {
      id: 'explain',
      header: 'Why',
      value: () => '',
      cell: (p) => (
        <PageLink
          to={`/explain?${new URLSearchParams({ to: address(service, p.from || p.datacenter), ...(p.peer === '' ? {} : { fromDatacenter: p.datacenter }) }).toString()}`}
          label={`Explain the way to ${service.name} of ${p.from || p.datacenter}`}
        >
          Explain
        </PageLink>
      ),
    },
  ];
}
