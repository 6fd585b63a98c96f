import type { UseQueryResult } from '@tanstack/react-query';
import { List, Stack, Text } from '@mantine/core';
import type { DatacenterState } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Expiry } from '../../kit/Expiry';
import { Empty } from '../../kit/Empty';
import { Liveness } from '../../kit/Liveness';
import { ResourceLink } from '../../kit/links';
import { Notice } from '../../kit/Notice';
import { Panel } from '../../kit/Panel';
import { agentCertificateSoon } from '../../kit/time';

type State = DatacenterState['agents'][number];
type Report = DatacenterState['reports'][number];

/** Its agents, what keeps them from their work, what they may not do in Consul, and how old what they told is. */
export function Agents({ query }: { query: UseQueryResult<DatacenterState> }) {
  return (
    <Stack>
      <Panel title="Agents" query={query}>
        {(state) => (
          <Stack gap="sm">
            {state.missingRights.length > 0 && (
              <Notice warning title="Its Consul token may not do all that an agent needs">
                <List size="sm">
                  {state.missingRights.map((r) => (
                    <List.Item key={r.rule}>
                      <span className="mono">{r.rule}</span> {r.message}
                    </List.Item>
                  ))}
                </List>
                <Text size="sm">
                  <code>isthmus agent policy</code> prints all rules.
                </Text>
              </Notice>
            )}
            <DataTable
              label="agents"
              rows={state.agents}
              columns={agents}
              rowKey={(a) => a.agent?.name ?? ''}
              prefix="agent-"
              searchable={false}
              empty={
                <Empty title="No agent is enrolled">Make a join token under Access and start an agent with it.</Empty>
              }
            />
          </Stack>
        )}
      </Panel>
      <Panel title="What was told, and when" query={query}>
        {(state) => (
          <DataTable
            label="reports"
            rows={state.reports}
            columns={reports}
            rowKey={(r) => `${r.part} ${r.agent}`}
            prefix="report-"
            searchable={false}
            empty={<Empty title="Nothing was told yet" />}
          />
        )}
      </Panel>
    </Stack>
  );
}

const agents: Column<State>[] = [
  {
    id: 'name',
    header: 'Agent',
    value: (a) => a.agent?.name ?? '',
    cell: (a) => <ResourceLink kind="Agent" name={a.agent?.name ?? ''} />,
  },
  { id: 'kind', header: 'Kind', value: (a) => a.agent?.spec?.kind ?? '' },
  {
    id: 'liveness',
    header: 'State',
    value: (a) => a.agent?.status?.liveness ?? '',
    cell: (a) => <Liveness status={a.agent?.status} />,
  },
  { id: 'trust', header: 'Trust', value: (a) => a.agent?.status?.trust ?? '' },
  { id: 'leader', header: 'Leads', value: (a) => (a.agent?.status?.leader === true ? 'leads' : '') },
  {
    id: 'current',
    header: 'Desired state',
    value: (a) => (a.current === true ? 'current' : 'behind'),
    cell: (a) => (
      <>
        {a.current === true ? 'current' : 'behind'} <span className="num">({a.appliedIndex})</span>
      </>
    ),
  },
  { id: 'version', header: 'Version', value: (a) => a.agent?.status?.version ?? '' },
  { id: 'host', header: 'Host', value: (a) => a.agent?.status?.host ?? '' },
  {
    id: 'certificate',
    header: 'Certificate ends',
    value: (a) => a.agent?.status?.certificateExpireTime ?? '',
    cell: (a) => <Expiry time={a.agent?.status?.certificateExpireTime} within={agentCertificateSoon} />,
  },
  {
    id: 'error',
    header: 'What keeps it',
    value: problem,
  },
];

function problem(a: State): string {
  const parts = [
    a.errorReason === '' ? '' : `${a.errorReason}: ${a.error}`,
    a.heldRemovals > 0 ? `${a.heldRemovals} removals wait for isthmus datacenter confirm` : '',
    a.unknownItems.length > 0 ? `it is too old to know ${a.unknownItems.join(', ')}` : '',
    clock(a.agent?.status?.clockSkewSeconds ?? 0),
  ];
  return parts.filter((p) => p !== '').join('; ') || '–';
}

function clock(seconds: number): string {
  if (seconds === 0) return '';
  return `its clock is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead' : 'behind'}`;
}

const reports: Column<Report>[] = [
  { id: 'part', header: 'Part', value: (r) => r.part },
  { id: 'agent', header: 'Told by', value: (r) => r.agent },
  { id: 'changed', header: 'Changed', value: (r) => r.receiveTime ?? '', cell: (r) => <Ago time={r.receiveTime} /> },
  { id: 'heard', header: 'Heard of', value: (r) => r.heardTime ?? '', cell: (r) => <Ago time={r.heardTime} /> },
];
