import { Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { services } from '../../api/queries';
import type { DatacenterState, FleetService, ServicePlace } from '../../api/types';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { PageLink } from '../../kit/links';
import { Notice } from '../../kit/Notice';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { keyOf, placeHealth, servicePath } from '../services/places';
import { lastSeen } from './silence';

interface Row extends ServicePlace {
  service: FleetService;
}

/** Its services: its own with where they are exported to, and those imported. */
export function ServicesPanel({ datacenter, state }: { datacenter: string; state: DatacenterState | undefined }) {
  const query = useQuery(services({ query: '', datacenter }));
  return (
    <Panel title="Services" query={query} lastSeen={() => lastSeen(state, 'services')}>
      {(found) => (
        <Stack gap="sm">
          {found.total > found.services.length && (
            <Notice title={`The first ${found.services.length} of ${found.total} services`}>
              The others are found by their names under Services.
            </Notice>
          )}
          <DataTable
            label={`services of ${datacenter}`}
            rows={found.services.flatMap((service) =>
              service.places.filter((p) => p.datacenter === datacenter).map((p): Row => ({ ...p, service })),
            )}
            columns={columns}
            rowKey={(r) => `${r.service.namespace}/${r.service.name} ${r.peer}`}
            sort="name"
            empty={<Empty title="No service is known" />}
          />
        </Stack>
      )}
    </Panel>
  );
}

const columns: Column<Row>[] = [
  {
    id: 'name',
    header: 'Service',
    value: (r) => keyOf(r.service),
    cell: (r) => <PageLink to={servicePath(r.service.name, keyOf(r.service))}>{keyOf(r.service)}</PageLink>,
  },
  {
    id: 'health',
    header: 'Health',
    value: (r) => placeHealth(r).state,
    facet: true,
    cell: (r) => <StateBadge {...placeHealth(r)} />,
  },
  {
    id: 'from',
    header: 'From',
    value: (r) => (r.peer === '' ? 'runs here' : `imported from ${r.from || `peer ${r.peer}`}`),
    facet: true,
  },
  { id: 'healthy', header: 'Healthy', value: (r) => r.healthy },
  { id: 'instances', header: 'Instances', value: (r) => r.instances },
  { id: 'mesh', header: 'Mesh', value: (r) => (r.mesh ? 'yes' : 'no'), facet: true },
  { id: 'exported', header: 'Exported to', value: (r) => r.exportedTo.join(', ') || '–' },
  { id: 'federated', header: 'Seen by its federation', value: (r) => r.federatedTo.join(', ') || '–' },
];
