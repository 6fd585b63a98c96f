import { Stack, Text } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { Peering, TokenEntry } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { Facts } from '../../kit/Facts';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { type Look, verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';
import { ExternalCommands } from './ExternalCommands';
import { endsOf } from './peering';

/** The last tokens: who made, got and used each. What a token is, nobody sees. */
export function TokensPanel({ query }: { query: UseQueryResult<Peering> }) {
  return (
    <Panel title="Token ledger" query={query}>
      {(p) => {
        const token = p.status?.token;
        const external = endsOf(p).some((e) => e.external);
        return (
          <Stack gap="sm">
            <Text size="sm">
              {external
                ? 'The token goes between two people: isthmus never shows it, and its server never has it in the clear.'
                : 'The token goes from agent to agent, sealed to the dialer’s: the server has ciphertext, and nothing here could show it.'}
            </Text>
            <Facts
              facts={[
                ['Generation', token?.generation ?? 0],
                ['Asked for because', token?.reason],
                ['Asked for', token?.requestTime === undefined ? undefined : <Ago time={token.requestTime} />],
                ['Asked for again', token?.raises ? `${token.raises} times since it was healthy` : undefined],
              ]}
            />
            <DataTable
              label="Token ledger"
              rows={token?.ledger ?? []}
              columns={columns}
              rowKey={(e) => `${e.generation} ${e.attempt}`}
              prefix="tokens-"
              searchable={false}
              empty={<Empty title="No token was made yet" />}
            />
            {external && <ExternalCommands peering={p} />}
          </Stack>
        );
      }}
    </Panel>
  );
}

const looks = words<Look>({
  made: verdictLook('pending'),
  delivered: verdictLook('pending'),
  used: verdictLook('healthy'),
  refused: verdictLook('failing'),
  expired: verdictLook('stale'),
  superseded: verdictLook('deleting'),
});

const columns: Column<TokenEntry>[] = [
  { id: 'generation', header: 'Generation', value: (e) => e.generation },
  {
    id: 'outcome',
    header: 'Outcome',
    value: (e) => e.outcome || 'claimed',
    cell: (e) => <StateBadge state={e.outcome || 'claimed'} look={looks[e.outcome] ?? verdictLook('pending')} />,
  },
  did('made', 'Made', (e) => [e.madeBy, e.makeTime]),
  did('delivered', 'Delivered', (e) => [e.deliveredTo, e.deliverTime]),
  did('used', 'Used', (e) => [e.usedBy, e.useTime]),
  { id: 'attempt', header: 'Attempt', value: (e) => e.attempt },
  {
    id: 'recipients',
    header: 'Sealed to',
    value: (e) => (e.recipients.length === 1 ? '1 agent' : `${e.recipients.length} agents`),
  },
  { id: 'expires', header: 'Good until', value: (e) => e.expireTime ?? '', cell: (e) => <Ago time={e.expireTime} /> },
];

/** Who did something, and when. */
function did(
  id: string,
  header: string,
  of: (e: TokenEntry) => [who: string, when: string | undefined],
): Column<TokenEntry> {
  return {
    id,
    header,
    value: (e) => of(e).filter(Boolean).join(' '),
    cell: (e) => {
      const [who, when] = of(e);
      if (who === '') return '–';
      return (
        <>
          {who}
          <Text size="xs" c="dimmed">
            <Ago time={when} />
          </Text>
        </>
      );
    },
  };
}
