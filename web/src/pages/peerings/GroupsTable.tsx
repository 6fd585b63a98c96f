import type { PeeringGroup } from '../../api/types';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { Labels } from '../../kit/Labels';
import { labelsText } from '../../kit/labels';
import { PageLink, ResourceLink } from '../../kit/links';
import { StateBadge } from '../../kit/StateBadge';
import { useSession } from '../../shell/context';
import { groupVerdict, limitText, membersText } from './group';

/** Peering groups with what they own. */
export function GroupsTable({ groups }: { groups: readonly PeeringGroup[] }) {
  const { mayOperate } = useSession();
  return (
    <DataTable
      label="Peering groups"
      rows={groups}
      columns={columns}
      rowKey={(g) => g.uid}
      sort="name"
      prefix="groups-"
      empty={
        <Empty title="There are no peering groups yet">
          A group keeps all datacenters with certain labels peered with each other: a new one is connected as soon as it
          has the labels.{' '}
          {mayOperate && (
            <PageLink underlined to="/peerings/new?what=group">
              Make one
            </PageLink>
          )}
        </Empty>
      }
    />
  );
}

const columns: Column<PeeringGroup>[] = [
  { id: 'name', header: 'Name', value: (g) => g.name, cell: (g) => <ResourceLink kind="PeeringGroup" name={g.name} /> },
  {
    id: 'state',
    header: 'State',
    value: groupVerdict,
    facet: true,
    cell: (g) => <StateBadge state={groupVerdict(g)} hint={g.status?.conditions[0]?.message ?? ''} />,
  },
  { id: 'shape', header: 'Shape', value: (g) => g.spec?.shape ?? '', facet: true },
  {
    id: 'members',
    header: 'Members',
    value: membersText,
    cell: (g) => <span className="mono">{membersText(g)}</span>,
  },
  {
    id: 'hub',
    header: 'Hub',
    value: (g) => g.spec?.hub ?? '',
    cell: (g) => <span className="mono">{g.spec?.hub}</span>,
  },
  { id: 'datacenters', header: 'Datacenters', value: (g) => g.status?.datacenters ?? 0 },
  { id: 'peerings', header: 'Peerings', value: (g) => g.status?.peerings ?? 0 },
  { id: 'healthy', header: 'Healthy', value: (g) => g.status?.healthy ?? 0 },
  { id: 'left-out', header: 'Left out', value: (g) => g.status?.skipped.length ?? 0 },
  { id: 'limit', header: 'Deletes at most', value: limitText },
  { id: 'labels', header: 'Labels', value: (g) => labelsText(g.labels), cell: (g) => <Labels labels={g.labels} /> },
];
