import { Button, Tabs } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { parseAsString, parseAsStringLiteral, useQueryState } from 'nuqs';
import { Link } from 'react-router';
import { list } from '../../api/queries';
import { Page } from '../../kit/Page';
import { Panel } from '../../kit/Panel';
import { useSession } from '../../shell/context';
import { useScope } from '../../shell/scope';
import { GroupPanel } from './GroupPanel';
import { GroupsTable } from './GroupsTable';
import { touches } from './peering';
import { PeeringsTable } from './PeeringsTable';

const tabs = ['peerings', 'groups'] as const;

/** All peerings, and the groups that own some of them; of one group with ?group=. */
export default function PeeringsPage() {
  const peerings = useQuery(list('Peering'));
  const groups = useQuery(list('PeeringGroup'));
  const [tab, setTab] = useQueryState('tab', parseAsStringLiteral(tabs).withDefault('peerings'));
  const [group, setGroup] = useQueryState('group', parseAsString.withDefault(''));
  const { mayOperate } = useSession();
  const { datacenter, scoped } = useScope();
  const shown = peerings.data?.filter((p) => touches(p, datacenter));
  const chosen = groups.data?.find((g) => g.name === group);
  return (
    <Page
      title="Peerings"
      actions={
        mayOperate && (
          <Button component={Link} to={scoped('/peerings/new')} leftSection={<IconPlus size={16} aria-hidden />}>
            New peering
          </Button>
        )
      }
    >
      <Tabs
        value={tab}
        onChange={(v) => {
          // The groups are all shown: none is looked at any more.
          if (v === 'groups') void setGroup(null);
          void setTab(v === 'groups' ? 'groups' : null);
        }}
        keepMounted={false}
      >
        <Tabs.List mb="md">
          <Tabs.Tab value="peerings">Peerings {shown === undefined ? '' : `(${shown.length})`}</Tabs.Tab>
          <Tabs.Tab value="groups">Groups {groups.data === undefined ? '' : `(${groups.data.length})`}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="peerings">
          {chosen !== undefined && <GroupPanel key={chosen.uid} group={chosen} />}
          <Panel title={titleOf(datacenter, group)} query={peerings}>
            {() => <PeeringsTable peerings={shown ?? []} />}
          </Panel>
        </Tabs.Panel>
        <Tabs.Panel value="groups">
          <Panel title="Peering groups" query={groups}>
            {(all) => <GroupsTable groups={all} />}
          </Panel>
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function titleOf(datacenter: string, group: string): string {
  const of = [datacenter, group === '' ? '' : `group ${group}`].filter((t) => t !== '');
  return of.length === 0 ? 'All peerings' : `Peerings of ${of.join(' in ')}`;
}
