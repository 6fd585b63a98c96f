import { Stack } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { Federation, FederationMember } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { DatacenterLink } from '../../kit/links';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';

interface Host {
  member: FederationMember;
  host: FederationMember['hosts'][number];
}

type Request = NonNullable<Federation['status']>['bundleRequests'][number];

/** What was issued to each member, and where it is applied. What is inside only its own agents can open: it is never shown. */
export function Bundles({ query }: { query: UseQueryResult<Federation> }) {
  return (
    <Stack>
      <Panel title="Bundles" query={query}>
        {(f) => (
          <DataTable
            label="bundles"
            rows={(f.status?.members ?? []).filter((m) => m.role !== 'primary')}
            columns={bundles}
            rowKey={(m) => m.datacenter}
            searchable={false}
            empty={<Empty title="There are no secondaries">Bundles are for those.</Empty>}
          />
        )}
      </Panel>
      <Panel title="On each host" query={query}>
        {(f) => (
          <DataTable
            label="hosts"
            rows={(f.status?.members ?? []).flatMap((member) => member.hosts.map((host): Host => ({ member, host })))}
            columns={hosts}
            rowKey={(h) => h.host.agent}
            prefix="host-"
            empty={<Empty title="No host has told yet" />}
          />
        )}
      </Panel>
      <Panel title="Asked for by hand" query={query}>
        {(f) => (
          <DataTable
            label="requests"
            rows={f.status?.bundleRequests ?? []}
            columns={requests}
            rowKey={(r) => `${r.datacenter} ${r.recipient} ${r.createTime ?? ''}`}
            prefix="request-"
            searchable={false}
            empty={
              <Empty title="None">
                <code>isthmus federation bundle</code> asks for one for a datacenter without an agent.
              </Empty>
            }
          />
        )}
      </Panel>
    </Stack>
  );
}

const bundles: Column<FederationMember>[] = [
  { id: 'datacenter', header: 'For', value: (m) => m.datacenter, cell: (m) => <DatacenterLink name={m.datacenter} /> },
  { id: 'generation', header: 'Generation', value: (m) => m.bundle?.generation ?? 0 },
  {
    id: 'made',
    header: 'Issued',
    value: (m) => m.bundle?.makeTime ?? '',
    cell: (m) => <Ago time={m.bundle?.makeTime} none="not yet" />,
  },
  {
    id: 'by',
    header: 'By',
    value: (m) => m.bundle?.madeBy ?? '',
    cell: (m) => <span className="mono">{m.bundle?.madeBy}</span>,
  },
  { id: 'recipients', header: 'Sealed to (keys)', value: (m) => m.bundle?.recipients.length ?? 0 },
  {
    id: 'applied',
    header: 'Applied',
    value: (m) =>
      `${m.hosts.filter((h) => h.applied >= (m.bundle?.generation ?? 1)).length} of ${m.hosts.length} hosts`,
  },
  {
    id: 'certificate',
    header: 'First certificate ends',
    value: (m) => m.bundle?.certificateExpireTime ?? '',
    cell: (m) => <Ago time={m.bundle?.certificateExpireTime} />,
  },
];

const states = words<string>({
  applied: 'healthy',
  refused: 'failing',
  failed: 'failing',
  'restart-required': 'stale',
});

/** The primary has no bundle: it is what bundles are made of. */
function generationOf({ member }: Host, generation: number): string {
  if (member.role === 'primary') return 'its own';
  return generation === 0 ? 'none yet' : `bundle ${generation}`;
}

const hosts: Column<Host>[] = [
  { id: 'datacenter', header: 'Datacenter', value: (h) => h.member.datacenter, facet: true },
  { id: 'host', header: 'Host', value: (h) => h.host.host },
  {
    id: 'state',
    header: 'State',
    value: (h) => h.host.state,
    facet: true,
    cell: (h) => <StateBadge state={h.host.state || 'none'} look={verdictLook(states[h.host.state] ?? 'pending')} />,
  },
  { id: 'written', header: 'Written', value: (h) => generationOf(h, h.host.written) },
  { id: 'applied', header: 'Consul runs with', value: (h) => generationOf(h, h.host.applied) },
  {
    id: 'certificate',
    header: 'Certificate ends',
    value: (h) => h.host.certificateExpireTime ?? '',
    cell: (h) => <Ago time={h.host.certificateExpireTime} />,
  },
  { id: 'message', header: 'Why', value: (h) => h.host.message },
];

const requests: Column<Request>[] = [
  { id: 'datacenter', header: 'For', value: (r) => r.datacenter },
  { id: 'by', header: 'Asked by', value: (r) => r.requestedBy },
  { id: 'when', header: 'When', value: (r) => r.createTime ?? '', cell: (r) => <Ago time={r.createTime} /> },
  {
    id: 'state',
    header: 'State',
    value: (r) => (r.error !== '' ? `refused: ${r.error}` : r.secretDigest === '' ? 'waits' : 'made'),
  },
];
