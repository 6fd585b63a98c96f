import { useQuery } from '@tanstack/react-query';
import { services } from '../../api/queries';
import type { FleetService, ServicePlace } from '../../api/types';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { Panel } from '../../kit/Panel';

interface Row extends ServicePlace {
  service: FleetService;
}

/** Its services: its own with where they are exported to, and those imported. */
export function ServicesPanel({ datacenter }: { datacenter: string }) {
  const query = useQuery(services({ query: '', datacenter }));
  return (
    <Panel
      title="Services"
      query={query}
      seen={(d) => d.services[0]?.places.find((p) => p.datacenter === datacenter)?.observeTime}
    >
      {(found) => (
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
      )}
    </Panel>
  );
}

const columns: Column<Row>[] = [
  { id: 'name', header: 'Service', value: (r) => r.service.name },
  {
    id: 'from',
    header: 'From',
    value: (r) => (r.peer === '' ? 'here' : r.from || `peer ${r.peer}`),
    facet: true,
  },
  { id: 'healthy', header: 'Healthy', value: (r) => r.healthy },
  { id: 'instances', header: 'Instances', value: (r) => r.instances },
  { id: 'mesh', header: 'Mesh', value: (r) => (r.mesh ? 'yes' : 'no'), facet: true },
  { id: 'exported', header: 'Exported to', value: (r) => r.exportedTo.join(', ') },
  { id: 'federated', header: 'Seen by its federation', value: (r) => r.federatedTo.join(', ') },
];
