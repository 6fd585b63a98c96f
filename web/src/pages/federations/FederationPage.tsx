import { Button, Stack, Tabs, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { parseAsString, useQueryState } from 'nuqs';
import { useParams } from 'react-router';
import { answer, api } from '../../api/client';
import { one } from '../../api/queries';
import { Confirm } from '../../kit/Confirm';
import { EventsPanel } from '../../kit/EventsPanel';
import { HistoryPanel } from '../../kit/HistoryPanel';
import { Notice } from '../../kit/Notice';
import { Page } from '../../kit/Page';
import { StateBadge } from '../../kit/StateBadge';
import { useSession } from '../../shell/context';
import { Bundles } from './Bundles';
import { Members } from './Members';
import { Plan } from './Plan';
import { ReachabilityPanel } from './Reachability';
import { Rules } from './Rules';
import { stateOf } from './state';

/** One federation: its members, what each waits for, what it would cost, who reaches whom. */
export default function FederationPage() {
  const { name = '' } = useParams();
  const { mayOperate } = useSession();
  const [tab, setTab] = useQueryState('tab', parseAsString.withDefault('members'));
  const query = useQuery(one('Federation', name));
  const state = query.data === undefined ? undefined : stateOf(query.data);
  return (
    <Page
      title={name}
      badge={state !== undefined && <StateBadge {...state} />}
      actions={mayOperate && query.data !== undefined && query.data.deleteTime === undefined && <Delete name={name} />}
    >
      {state !== undefined && state.state !== 'ready' && <Notice title={state.hint} />}
      <Tabs value={tab} onChange={(next) => void setTab(next)} keepMounted={false}>
        <Tabs.List mb="md" aria-label={`About ${name}`}>
          <Tabs.Tab value="members">Members</Tabs.Tab>
          <Tabs.Tab value="reachability">Reachability</Tabs.Tab>
          <Tabs.Tab value="bundles">Bundles</Tabs.Tab>
          <Tabs.Tab value="plan">Plan</Tabs.Tab>
          <Tabs.Tab value="rules">Rules</Tabs.Tab>
          <Tabs.Tab value="history">History</Tabs.Tab>
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

function Delete({ name }: { name: string }) {
  const [opened, { open, close }] = useDisclosure();
  return (
    <>
      <Button variant="default" onClick={open}>
        Delete
      </Button>
      <Confirm
        opened={opened}
        onClose={close}
        title={`Delete federation ${name}`}
        action="Delete"
        typed={name}
        onConfirm={() => answer(api.DELETE('/v1/federations/{name}', { params: { path: { name } } }))}
      >
        <Text size="sm">
          Every secondary leaves first: each becomes a datacenter of its own, and its Consul restarts. What that means
          for each stands in its plan. Calls between them stop.
        </Text>
      </Confirm>
    </>
  );
}
