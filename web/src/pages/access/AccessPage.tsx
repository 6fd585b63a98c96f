import { Tabs } from '@mantine/core';
import { parseAsString, useQueryState } from 'nuqs';
import { Page } from '../../kit/Page';
import { useSession } from '../../shell/context';
import { Agents } from './Agents';
import { APITokens } from './APITokens';
import { JoinTokens } from './JoinTokens';

/** Who may come in: agents, with what they enrol, and who may use the API. */
export default function AccessPage() {
  const { mayAdminister } = useSession();
  const [tab, setTab] = useQueryState('tab', parseAsString.withDefault('agents'));
  // What was chosen in one table means nothing in the next.
  const open = (next: string | null) => {
    void setTab(next);
  };
  return (
    <Page title="Access">
      <Tabs value={tab} onChange={open} keepMounted={false}>
        <Tabs.List mb="md" aria-label="Who may come in">
          <Tabs.Tab value="agents">Agents</Tabs.Tab>
          <Tabs.Tab value="join-tokens">Join tokens</Tabs.Tab>
          {mayAdminister && <Tabs.Tab value="api-tokens">API tokens</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="agents">
          <Agents />
        </Tabs.Panel>
        <Tabs.Panel value="join-tokens">
          <JoinTokens />
        </Tabs.Panel>
        {mayAdminister && (
          <Tabs.Panel value="api-tokens">
            <APITokens />
          </Tabs.Panel>
        )}
      </Tabs>
    </Page>
  );
}
