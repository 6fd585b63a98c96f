import { Stack, Text, Title } from '@mantine/core';
import type { FieldChange, Intention } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Differences } from '../../kit/Differences';
import { Empty } from '../../kit/Empty';
import { DatacenterLink } from '../../kit/links';
import { StateBadge } from '../../kit/StateBadge';
import { itemLook } from '../../kit/verdict';
import type { Policy } from './kinds';

type Placement = NonNullable<Intention['status']>['placements'][number];
type Conflict = Placement['conflicts'][number];

/** How a policy stands in each Consul, and what stands against it, side by side. */
export function Placements({ policy }: { policy: Policy }) {
  // Exports have fewer fields: no entries, no conflicts of their own.
  const placements = (policy.status?.placements ?? []) as (Partial<Placement> &
    Pick<Placement, 'datacenter' | 'state' | 'message'>)[];
  const conflicts = placements.flatMap((p) => (p.conflicts ?? []).map((c) => ({ ...c, datacenter: p.datacenter })));
  return (
    <Stack>
      <DataTable
        label="placements"
        rows={placements}
        columns={columns}
        rowKey={(p) => p.datacenter}
        empty={
          <Empty title="It counts nowhere yet">
            No datacenter is chosen by it, or nobody has looked at it since it was declared.
          </Empty>
        }
      />
      {conflicts.map((c) => (
        <section key={`${c.datacenter} ${c.entry} ${c.part}`} aria-label={`Conflict in ${c.datacenter}, ${c.entry}`}>
          <Title order={3} size="h5">
            {c.datacenter}: {c.entry} {c.part}
          </Title>
          <Differences changes={sideBySide(c)} before="In Consul" after="Wanted" />
          {c.fix !== '' && (
            <Text size="sm" fw={600} className="mono">
              {c.fix}
            </Text>
          )}
        </section>
      ))}
    </Stack>
  );
}

function sideBySide(c: Conflict): FieldChange[] {
  return [{ field: c.part, before: c.found, after: c.wanted }];
}

type Row = Partial<Placement> & Pick<Placement, 'datacenter' | 'state' | 'message'>;

const columns: Column<Row>[] = [
  {
    id: 'datacenter',
    header: 'Datacenter',
    value: (p) => p.datacenter,
    cell: (p) => <DatacenterLink name={p.datacenter} />,
  },
  { id: 'members', header: 'Counts for', value: (p) => (p.members ?? []).join(', ') || 'itself' },
  {
    id: 'state',
    header: 'State',
    value: (p) => p.state,
    facet: true,
    cell: (p) => <StateBadge state={p.state} look={itemLook(p.state)} />,
  },
  { id: 'message', header: 'Why', value: (p) => p.message },
  { id: 'entries', header: 'In Consul', value: (p) => (p.entries ?? []).join(', ') },
  {
    id: 'drift',
    header: 'Changed by somebody else',
    value: (p) => p.drift?.time ?? '',
    cell: (p) =>
      p.drift === undefined ? (
        'never seen'
      ) : (
        <>
          <Ago time={p.drift.time} /> {p.drift.corrected === true ? '(put back)' : ''}
        </>
      ),
  },
];
