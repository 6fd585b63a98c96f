import { Stack, Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { parseAsStringLiteral, useQueryState } from 'nuqs';
import { useParams } from 'react-router';
import { toYAML } from '../../api/apply';
import { one } from '../../api/queries';
import { EventsPanel } from '../../kit/EventsPanel';
import { Gone, isGone } from '../../kit/Gone';
import { HistoryPanel } from '../../kit/HistoryPanel';
import { Notice } from '../../kit/Notice';
import { Page } from '../../kit/Page';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { useSession } from '../../shell/context';
import { Editor } from '../policies/Editor';
import { Bundles } from './Bundles';
import { DeleteFederation } from './DeleteFederation';
import { Members } from './Members';
import { Plan } from './Plan';
import { ReachabilityPanel } from './Reachability';
import { Rules } from './Rules';
import { Summary } from './Summary';
import { stateOf } from './state';

const tabs = ['members', 'reachability', 'bundles', 'plan', 'rules', 'manifest', 'history'] as const;

const titles: Record<(typeof tabs)[number], string> = {
  members: 'Members',
  reachability: 'Reachability',
  bundles: 'Bundles',
  plan: 'Plan',
  rules: 'Rules',
  manifest: 'Manifest',
  history: 'History',
};

/** One federation: its members, what each waits for, what it would cost, who reaches whom. */
export default function FederationPage() {
  const { name = '' } = useParams();
  const { mayOperate } = useSession();
  const [tab, setTab] = useQueryState('tab', parseAsStringLiteral(tabs).withDefault('members'));
  const query = useQuery(one('Federation', name));
  if (isGone(query.error)) return <Gone kind="Federation" name={name} list="/federations" all="All federations" />;
  const state = query.data === undefined ? undefined : stateOf(query.data);
  return (
    <Page
      title={name}
      badge={state !== undefined && <StateBadge {...state} />}
      actions={mayOperate && query.data !== undefined && <DeleteFederation federation={query.data} />}
    >
      {state !== undefined && state.state !== 'ready' && (
        <Notice title={state.hint} warning={state.state !== 'deleting'} />
      )}
      <Tabs value={tab} onChange={(next) => void setTab(tabs.find((t) => t === next) ?? null)} keepMounted={false}>
        <Tabs.List mb="md" aria-label={`About ${name}`}>
          {tabs.map((t) => (
            <Tabs.Tab key={t} value={t}>
              {titles[t]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="members">
          <Members federation={name} query={query} />
        </Tabs.Panel>
        <Tabs.Panel value="reachability">
          <ReachabilityPanel federation={name} />
        </Tabs.Panel>
        <Tabs.Panel value="bundles">
          <Bundles query={query} />
        </Tabs.Panel>
        <Tabs.Panel value="plan">
          <Plan query={query} />
        </Tabs.Panel>
        <Tabs.Panel value="rules">
          <Rules query={query} />
        </Tabs.Panel>
        <Tabs.Panel value="manifest">
          <Stack>
            <Summary query={query} />
            <Panel title="Manifest" query={query}>
              {(f) => (
                <Editor
                  text={toYAML([{ kind: 'Federation', name: f.name, labels: f.labels, spec: f.spec ?? {} }])}
                  readOnly={!mayOperate}
                />
              )}
            </Panel>
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="history">
          <Stack>
            <HistoryPanel kind="Federation" name={name} />
            <EventsPanel kind="Federation" target={name} />
          </Stack>
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
