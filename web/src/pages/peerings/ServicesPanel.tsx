import { SegmentedControl, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { parseAsString, useQueryState } from 'nuqs';
import { datacenterServices, services } from '../../api/queries';
import type { CatalogService, Peering } from '../../api/types';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { PageLink } from '../../kit/links';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { verdictLook } from '../../kit/verdict';
import { useSession } from '../../shell/context';
import { useScope } from '../../shell/scope';
import { servicePath } from '../services/places';
import { type End, endsOf } from './peering';
import { type Exported, exportedOf, importedOf } from './services';

/** From whose side services are looked at: as Consul's own dashboard does, one end's. It stands in the address. */
function useSide(p: Peering): [here: End, there: End, choose: (name: string) => void] {
  const [from, setFrom] = useQueryState('from', parseAsString);
  const { datacenter } = useScope();
  const [acceptor, dialer] = endsOf(p);
  const wanted = from ?? datacenter;
  const atDialer = acceptor.external || (wanted === dialer.name && !dialer.external);
  return [atDialer ? dialer : acceptor, atDialer ? acceptor : dialer, (name) => void setFrom(name)];
}

function SideChoice({ peering, here, choose }: { peering: Peering; here: End; choose: (name: string) => void }) {
  const own = endsOf(peering).filter((e) => !e.external);
  if (own.length < 2) return null;
  return (
    <SegmentedControl
      size="xs"
      aria-label="Seen from"
      data={own.map((e) => ({ value: e.name, label: `in ${e.name}` }))}
      value={here.name}
      onChange={choose}
    />
  );
}

/** The services of the other end that one end's Consul shows. */
export function ImportedPanel({ peering }: { peering: Peering }) {
  const [here, there, choose] = useSide(peering);
  const query = useQuery(datacenterServices(here.name));
  return (
    <Panel
      title={`Imported in ${here.name} from ${there.name}`}
      query={query}
      seen={(d) => d.observeTime}
      actions={<SideChoice peering={peering} here={here} choose={choose} />}
    >
      {(data) => (
        <DataTable
          label={`Services imported in ${here.name}`}
          rows={importedOf(data.services, here)}
          columns={importedColumns}
          rowKey={(s) => s.name}
          sort="name"
          prefix="imported-"
          empty={
            <Empty title={`${here.name} imports nothing from ${there.name}`}>
              {there.external
                ? `The operator of ${there.name} has to export services to ${here.name}.`
                : `What ${there.name} exports to ${here.name} appears here.`}
            </Empty>
          }
        />
      )}
    </Panel>
  );
}

const importedColumns: Column<CatalogService>[] = [
  {
    id: 'name',
    header: 'Service',
    value: (s) => s.name,
    cell: (s) => <ServiceLink name={s.name} />,
  },
  { id: 'instances', header: 'Instances', value: (s) => s.instances },
  {
    id: 'healthy',
    header: 'Healthy',
    value: (s) => s.healthy,
    cell: (s) => (
      <StateBadge
        state={`${s.healthy} of ${s.instances}`}
        look={verdictLook(s.healthy === s.instances ? 'healthy' : s.healthy > 0 ? 'stale' : 'failing')}
      />
    ),
  },
  { id: 'mesh', header: 'In the mesh', value: (s) => (s.mesh ? 'yes' : 'no') },
];

/** The services that one end exports to the other, and whether they arrive there. */
export function ExportedPanel({ peering }: { peering: Peering }) {
  const [here, there, choose] = useSide(peering);
  const { mayOperate } = useSession();
  const query = useQuery(services({ query: '', datacenter: here.name }));
  const arrived = useQuery({ ...datacenterServices(there.name), enabled: !there.external });
  return (
    <Panel
      title={`Exported from ${here.name} to ${there.name}`}
      query={query}
      actions={<SideChoice peering={peering} here={here} choose={choose} />}
    >
      {(data) => (
        <Stack gap="xs">
          <DataTable
            label={`Services exported from ${here.name}`}
            rows={exportedOf(data.services, here, there, arrived.data?.services)}
            columns={exportedColumns}
            rowKey={(s) => s.name}
            sort="name"
            prefix="exported-"
            empty={
              <Empty title={`${here.name} exports nothing to ${there.name}`}>
                A service can be called from a peer only when it is exported to it.{' '}
                {mayOperate && (
                  <PageLink underlined to="/policies/new?kind=ServiceExport">
                    Export one
                  </PageLink>
                )}
              </Empty>
            }
          />
          {data.nextPageToken !== '' && (
            <Text size="sm">
              Only the first {data.services.length} services of {here.name} were looked at.
            </Text>
          )}
        </Stack>
      )}
    </Panel>
  );
}

const arrival = { yes: 'healthy', no: 'failing', unknown: 'unknown' } as const;

const exportedColumns: Column<Exported>[] = [
  { id: 'name', header: 'Service', value: (s) => s.name, cell: (s) => <ServiceLink name={s.name} /> },
  { id: 'instances', header: 'Instances', value: (s) => s.instances },
  { id: 'healthy', header: 'Healthy', value: (s) => s.healthy },
  {
    id: 'arrives',
    header: 'Arrives',
    value: (s) => s.arrives,
    facet: true,
    cell: (s) => <StateBadge state={s.arrives} look={verdictLook(arrival[s.arrives])} />,
  },
];

function ServiceLink({ name }: { name: string }) {
  return <PageLink to={servicePath(name)}>{name}</PageLink>;
}
