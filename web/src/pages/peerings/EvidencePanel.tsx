import { Text } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { Connection, Evidence } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { answerLook } from '../../kit/verdict';
import { words } from '../../kit/words';

// When each piece passes: docs/health.md.
const meanings = words<string>({
  Agent: 'the end’s agent is heard of, and sees its Consul',
  State: 'Consul says ACTIVE',
  Heartbeat: 'the end heard the other one within 20 s',
  Receive: 'shown while the heartbeat is not fresh',
  Send: 'shown while the heartbeat is not fresh',
  ImportsMatch: 'one end imports exactly what the other one exports',
  CatalogMatches: 'each imported service has as many instances as where it runs',
  GatewayDialled: 'the addresses that the dialer’s Consul dials answer with a certificate of the peer’s servers',
  TrustRoots: 'the end trusts the mesh CA with which the other one signs now',
  PeerID: 'both ends are those of one peering',
});

/** What speaks for the verdict, and what against it: all that agents of both ends told. */
export function EvidencePanel({ query }: { query: UseQueryResult<{ connections: Connection[] }> }) {
  return (
    <Panel title="Evidence" query={query}>
      {({ connections }) => (
        <DataTable
          label="Evidence"
          rows={connections[0]?.evidence ?? []}
          columns={columns}
          rowKey={(e) => `${e.id} ${e.datacenter} ${e.message}`}
          sort="answer"
          prefix="evidence-"
          searchable={false}
          empty={<Empty title="There is no evidence yet">It comes with the first reports of both agents.</Empty>}
        />
      )}
    </Panel>
  );
}

const columns: Column<Evidence>[] = [
  {
    id: 'answer',
    header: 'Answer',
    value: (e) => e.verdict,
    // What fails comes first, then what nobody knows.
    order: (e) => -answerLook(e.verdict).weight,
    cell: (e) => <StateBadge state={e.verdict} look={answerLook(e.verdict)} />,
  },
  {
    id: 'evidence',
    header: 'Evidence',
    value: (e) => e.id,
    cell: (e) => (
      <>
        {e.id}
        {meanings[e.id] !== undefined && (
          <Text size="xs" c="dimmed">
            passes when {meanings[e.id]}
          </Text>
        )}
      </>
    ),
  },
  { id: 'datacenter', header: 'Seen in', value: (e) => e.datacenter || 'both compared' },
  { id: 'message', header: 'What is seen', value: (e) => e.message },
  { id: 'since', header: 'Since', value: (e) => e.since ?? '', cell: (e) => <Ago time={e.since} /> },
];
