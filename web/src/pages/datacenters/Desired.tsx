import { Group, Stack, Text, Title } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import { useMemo } from 'react';
import type { DatacenterState, ItemState } from '../../api/types';
import { type Column, DataTable } from '../../kit/DataTable';
import { Differences } from '../../kit/Differences';
import { Empty } from '../../kit/Empty';
import { ResourceLink } from '../../kit/links';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { itemLook } from '../../kit/verdict';
import { parseSubject } from '../doctor/subject';

/** What is wanted of it beside what is there, with the difference. */
export function Desired({ query }: { query: UseQueryResult<DatacenterState> }) {
  return (
    <Panel title="Desired and applied" query={query}>
      {(state) => <Items items={state.items} />}
    </Panel>
  );
}

function Items({ items }: { items: ItemState[] }) {
  const different = useMemo(() => items.filter((i) => i.differences.length > 0), [items]);
  return (
    <Stack>
      <DataTable
        label="desired items"
        rows={items}
        columns={columns}
        rowKey={(i) => i.id}
        prefix="item-"
        empty={<Empty title="Nothing is wanted of it">No peering, federation, export or policy names it.</Empty>}
      />
      {different.map((item) => (
        <section key={item.id} aria-label={`Difference in ${item.type} ${item.name}`}>
          <Group gap="xs" mb={4}>
            <Title order={3} size="h5">
              {item.type} {item.name}
            </Title>
            <StateBadge state={item.state} look={itemLook(item.state)} />
          </Group>
          <Differences changes={item.differences} before="In Consul" after="Wanted" />
        </section>
      ))}
    </Stack>
  );
}

const columns: Column<ItemState>[] = [
  {
    id: 'state',
    header: 'State',
    value: (i) => i.state,
    facet: true,
    cell: (i) => <StateBadge state={i.state} look={itemLook(i.state)} />,
  },
  { id: 'type', header: 'Type', value: (i) => i.type, facet: true },
  { id: 'name', header: 'In Consul', value: (i) => i.name, cell: (i) => <span className="mono">{i.name}</span> },
  {
    id: 'wanted',
    header: 'Wanted by',
    value: (i) => i.wantedBy.join(' '),
    cell: (i) => (
      <Group gap="xs">
        {i.wantedBy.map((w) => (
          <ResourceLink key={w} {...parseSubject(w)}>
            {w}
          </ResourceLink>
        ))}
      </Group>
    ),
  },
  {
    id: 'message',
    header: 'What and how to mend it',
    value: (i) => [i.message, i.fix].filter((t) => t !== '').join(' '),
    cell: (i) => (
      <Stack gap={2} miw={240}>
        <Text size="sm">{i.message}</Text>
        {i.fix !== '' && (
          <Text size="sm" fw={600}>
            {i.fix}
          </Text>
        )}
      </Stack>
    ),
  },
];
