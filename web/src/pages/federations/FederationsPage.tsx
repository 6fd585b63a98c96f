import { Button, Code } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { list } from '../../api/queries';
import type { Federation } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { DatacenterLink, PageLink } from '../../kit/links';
import { Page } from '../../kit/Page';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { useSession } from '../../shell/context';
import { useScope } from '../../shell/scope';
import { FederationForm } from './FederationForm';
import { modeOf, stateOf, touches } from './state';

/** All WAN federations. */
export default function FederationsPage() {
  const { mayOperate } = useSession();
  const { datacenter } = useScope();
  const query = useQuery(list('Federation'));
  const [opened, { open, close }] = useDisclosure();
  return (
    <Page title="Federations" actions={mayOperate && <Button onClick={open}>Federate datacenters</Button>}>
      <Panel title="WAN federations" query={query}>
        {(all) => (
          <DataTable
            label="federations"
            rows={all.filter((f) => touches(f, datacenter))}
            columns={columns}
            rowKey={(f) => f.uid}
            sort="name"
            empty={
              <Empty title={datacenter === '' ? 'There is no federation' : `${datacenter} is in no federation`}>
                A federation has a primary and secondaries, which share ACLs, configuration and the mesh CA. Declare one
                here or with a manifest of <Code>kind: Federation</Code>; peering connects datacenters that stay their
                own.
              </Empty>
            }
          />
        )}
      </Panel>
      {mayOperate && <FederationForm opened={opened} onClose={close} />}
    </Page>
  );
}

const columns: Column<Federation>[] = [
  {
    id: 'name',
    header: 'Federation',
    value: (f) => f.name,
    cell: (f) => (
      <PageLink to={`/federations/${encodeURIComponent(f.name)}`} strong>
        {f.name}
      </PageLink>
    ),
  },
  {
    id: 'state',
    header: 'State',
    value: (f) => stateOf(f).state,
    order: (f) => -stateOf(f).look.weight,
    facet: true,
    cell: (f) => <StateBadge {...stateOf(f)} />,
  },
  {
    id: 'primary',
    header: 'Primary',
    value: (f) => f.spec?.primary ?? '',
    cell: (f) => <DatacenterLink name={f.spec?.primary ?? ''} />,
  },
  {
    id: 'joined',
    header: 'Secondaries joined',
    value: (f) => `${f.status?.joined ?? 0} of ${f.status?.secondaries ?? 0}`,
  },
  { id: 'mode', header: 'Servers meet', value: modeOf, facet: true },
  {
    id: 'keyless',
    header: 'CA key',
    value: (f) => (f.spec?.keyless === true ? 'stays in the primary' : 'in the bundles'),
  },
  { id: 'made', header: 'Declared', value: (f) => f.createTime ?? '', cell: (f) => <Ago time={f.createTime} /> },
];
