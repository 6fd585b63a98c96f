import { Tabs } from '@mantine/core';
import { parseAsStringLiteral, useQueryState } from 'nuqs';
import { useNavigate } from 'react-router';
import { Page } from '../../kit/Page';
import { useSession } from '../../shell/context';
import { scopeParam, useScope } from '../../shell/scope';
import { Agents } from './Agents';
import { APITokens } from './APITokens';
import { JoinTokens } from './JoinTokens';

const tabs = ['agents', 'join-tokens', 'api-tokens'] as const;

/** Who may come in: agents, with what they enrol, and who may use the API. */
export default function AccessPage() {
  const { mayAdminister } = useSession();
  const [tab] = useQueryState('tab', parseAsStringLiteral(tabs).withDefault('agents'));
  const navigate = useNavigate();
  const { datacenter } = useScope();
  // What was searched for in one table means nothing in the next: of the address only the datacenter stays.
  const open = (next: string | null) => {
    const params = new URLSearchParams({
      tab: next ?? 'agents',
      ...(datacenter === '' ? {} : { [scopeParam]: datacenter }),
    });
    void navigate({ search: params.toString() });
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
