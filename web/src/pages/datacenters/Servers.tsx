import type { UseQueryResult } from '@tanstack/react-query';
import type { DatacenterState } from '../../api/types';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { wanLook } from '../../kit/verdict';
import { lastSeen } from './silence';

type Server = NonNullable<DatacenterState['inventory']>['raftServers'][number];
type Member = DatacenterState['wanMembers'][number];

/** Its Consul servers as Raft knows them, and the WAN pool as they see it. */
export function Servers({ query }: { query: UseQueryResult<DatacenterState> }) {
  return (
    <>
      <Panel title="Servers" query={query} lastSeen={(s) => lastSeen(s, 'inventory')}>
        {(state) => (
          <DataTable
            label="servers"
            rows={state.inventory?.raftServers ?? []}
            columns={servers}
            rowKey={(s) => `${s.node} ${s.address}`}
            prefix="server-"
            searchable={false}
            empty={<Empty title="No server is known yet">Its agent tells when it reaches its Consul.</Empty>}
          />
        )}
      </Panel>
      <Panel title="WAN members" query={query} lastSeen={(s) => lastSeen(s, 'federation')}>
        {(state) => (
          <DataTable
            label="WAN members"
            rows={state.wanMembers}
            columns={members}
            rowKey={(m) => `${m.node}.${m.datacenter}`}
            prefix="member-"
            searchable={state.wanMembers.length > 20}
            empty={<Empty title="No WAN members">They are looked at in datacenters of a federation.</Empty>}
          />
        )}
      </Panel>
    </>
  );
}

const servers: Column<Server>[] = [
  { id: 'node', header: 'Node', value: (s) => s.node },
  { id: 'address', header: 'Address', value: (s) => s.address, cell: (s) => <span className="mono">{s.address}</span> },
  { id: 'leader', header: 'Leader', value: (s) => (s.leader === true ? 'leads' : '') },
  { id: 'voter', header: 'Voter', value: (s) => (s.voter === true ? 'yes' : 'no') },
];

const members: Column<Member>[] = [
  { id: 'node', header: 'Node', value: (m) => m.node },
  { id: 'datacenter', header: 'Datacenter', value: (m) => m.datacenter },
  { id: 'address', header: 'Address', value: (m) => m.address, cell: (m) => <span className="mono">{m.address}</span> },
  {
    id: 'status',
    header: 'Status',
    value: (m) => m.status,
    cell: (m) => <StateBadge state={m.status} look={wanLook(m.status)} />,
  },
  { id: 'build', header: 'Build', value: (m) => m.build },
];
