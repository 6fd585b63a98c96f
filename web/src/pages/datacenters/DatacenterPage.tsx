import { Stack, Tabs, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { parseAsString, useQueryState } from 'nuqs';
import { useParams } from 'react-router';
import { connections, datacenterState, fleet, one } from '../../api/queries';
import { EventsPanel } from '../../kit/EventsPanel';
import { HistoryPanel } from '../../kit/HistoryPanel';
import { Notice } from '../../kit/Notice';
import { Page } from '../../kit/Page';
import { StateBadge } from '../../kit/StateBadge';
import { useSession } from '../../shell/context';
import { Agents } from './Agents';
import { Connections } from './Connections';
import { ConsulFacts } from './ConsulFacts';
import { Desired } from './Desired';
import { Gateways } from './Gateways';
import { Removal, RemoveButton } from './Removal';
import { Servers } from './Servers';
import { ServicesPanel } from './ServicesPanel';

/** One datacenter: what is wrong with it first, then everything that is known of it. */
export default function DatacenterPage() {
  const { name = '' } = useParams();
  const { mayOperate } = useSession();
  const [tab, setTab] = useQueryState('tab', parseAsString.withDefault('consul'));
  const datacenter = useQuery(one('Datacenter', name));
  const state = useQuery(datacenterState(name));
  const links = useQuery(connections({ datacenter: name }));
  const { data: whole } = useQuery(fleet());
  const seen = whole?.datacenters.find((d) => d.name === name);
  return (
    <Page
      title={name}
      badge={seen !== undefined && <StateBadge state={seen.health} />}
      actions={mayOperate && datacenter.data !== undefined && <RemoveButton datacenter={datacenter.data} />}
    >
      {seen !== undefined && seen.health !== 'healthy' && (
        <Notice title={seen.reason} warning={seen.health !== 'pending'}>
          <Text size="sm">{seen.message}</Text>
          {seen.fix !== '' && (
            <Text size="sm" fw={600}>
              {seen.fix}
            </Text>
          )}
        </Notice>
      )}
      {datacenter.data?.status?.removal !== undefined && <Removal removal={datacenter.data.status.removal} />}
      <Tabs value={tab} onChange={(next) => void setTab(next)} keepMounted={false}>
        <Tabs.List mb="md" aria-label={`About ${name}`}>
          <Tabs.Tab value="consul">Consul</Tabs.Tab>
          <Tabs.Tab value="agents">Agents</Tabs.Tab>
          <Tabs.Tab value="connections">Connections</Tabs.Tab>
          <Tabs.Tab value="services">Services</Tabs.Tab>
          <Tabs.Tab value="gateways">Gateways</Tabs.Tab>
          <Tabs.Tab value="desired">Desired and applied</Tabs.Tab>
          <Tabs.Tab value="history">History</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="consul">
          <Stack>
            <ConsulFacts datacenter={datacenter} state={state.data} />
            <Servers query={state} />
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="agents">
          <Agents query={state} />
        </Tabs.Panel>
        <Tabs.Panel value="connections">
          <Connections datacenter={name} query={links} />
        </Tabs.Panel>
        <Tabs.Panel value="services">
          <ServicesPanel datacenter={name} state={state.data} />
        </Tabs.Panel>
        <Tabs.Panel value="gateways">
          <Gateways datacenter={name} />
        </Tabs.Panel>
        <Tabs.Panel value="desired">
          <Desired query={state} />
        </Tabs.Panel>
        <Tabs.Panel value="history">
          <Stack>
            <HistoryPanel kind="Datacenter" name={name} />
            <EventsPanel kind="Datacenter" target={name} />
          </Stack>
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
