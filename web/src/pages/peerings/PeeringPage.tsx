import { SimpleGrid, Stack, Tabs } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { parseAsBoolean, parseAsStringLiteral, useQueryState } from 'nuqs';
import { useParams } from 'react-router';
import { ApiError } from '../../api/error';
import { connections, one } from '../../api/queries';
import { Empty } from '../../kit/Empty';
import { EventsPanel } from '../../kit/EventsPanel';
import { HistoryPanel } from '../../kit/HistoryPanel';
import { PageLink } from '../../kit/links';
import { Page } from '../../kit/Page';
import { StateBadge } from '../../kit/StateBadge';
import { useSession } from '../../shell/context';
import { useScope } from '../../shell/scope';
import { EndsPanel } from './EndsPanel';
import { EvidencePanel } from './EvidencePanel';
import { HealingPanel } from './HealingPanel';
import { PeeringActions } from './PeeringActions';
import { ProgressPanel } from './ProgressPanel';
import { ExportedPanel, ImportedPanel } from './ServicesPanel';
import { TokensPanel } from './TokensPanel';
import { VerdictPanel } from './VerdictPanel';
import { tokenOnItsWay, verdictOf } from './peering';

const tabs = ['evidence', 'imported', 'exported', 'tokens', 'history'] as const;

/** One peering: both ends side by side, the verdict with what it is made of, what can be done. */
export default function PeeringPage() {
  const { name = '' } = useParams();
  const query = useQuery(one('Peering', name));
  const found = useQuery(connections({ kind: 'peering', name }));
  const [tab, setTab] = useQueryState('tab', parseAsStringLiteral(tabs).withDefault('evidence'));
  // Whoever has just made it watches it become healthy, to the end.
  const [made] = useQueryState('made', parseAsBoolean.withDefault(false));
  const { mayOperate } = useSession();
  const client = useQueryClient();
  const p = query.data;

  if (query.error instanceof ApiError && query.error.fault === 'not-found') return <Gone name={name} />;
  const reread = () => {
    void client.invalidateQueries({ queryKey: ['one', 'Peering', name] });
    void client.invalidateQueries({ queryKey: ['list', 'Peering'] });
  };
  return (
    <Page
      title={name}
      badge={p !== undefined && <StateBadge state={verdictOf(p)} />}
      actions={mayOperate && p !== undefined && <PeeringActions peering={p} onChanged={reread} />}
    >
      {p !== undefined && (made || verdictOf(p) === 'pending' || tokenOnItsWay(p)) && <ProgressPanel query={query} />}
      <SimpleGrid cols={{ base: 1, lg: 2 }}>
        <VerdictPanel query={query} connection={found.data?.connections[0]} />
        <EndsPanel query={query} />
      </SimpleGrid>
      {p !== undefined && (
        <Tabs value={tab} onChange={(v) => void setTab(tabs.find((t) => t === v) ?? null)} keepMounted={false}>
          <Tabs.List mb="md">
            <Tabs.Tab value="evidence">Evidence</Tabs.Tab>
            <Tabs.Tab value="imported">Imported</Tabs.Tab>
            <Tabs.Tab value="exported">Exported</Tabs.Tab>
            <Tabs.Tab value="tokens">Tokens</Tabs.Tab>
            <Tabs.Tab value="history">History</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="evidence">
            <Stack>
              <EvidencePanel query={found} />
              <HealingPanel query={query} />
            </Stack>
          </Tabs.Panel>
          <Tabs.Panel value="imported">
            <ImportedPanel peering={p} />
          </Tabs.Panel>
          <Tabs.Panel value="exported">
            <ExportedPanel peering={p} />
          </Tabs.Panel>
          <Tabs.Panel value="tokens">
            <TokensPanel query={query} />
          </Tabs.Panel>
          <Tabs.Panel value="history">
            <Stack>
              <HistoryPanel kind="Peering" name={name} />
              <EventsPanel kind="Peering" target={name} />
            </Stack>
          </Tabs.Panel>
        </Tabs>
      )}
    </Page>
  );
}

function Gone({ name }: { name: string }) {
  const { scoped } = useScope();
  return (
    <Page title={name}>
      <Empty title={`There is no peering ${name}`}>
        It was deleted, or never was.{' '}
        <PageLink underlined to={scoped('/peerings')}>
          All peerings
        </PageLink>{' '}
        or{' '}
        <PageLink underlined to={`/events?kind=Peering&target=${encodeURIComponent(name)}`}>
          what happened to it
        </PageLink>
        .
      </Empty>
    </Page>
  );
}
