import { Badge, Button, Group, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { apply } from '../api/apply';
import { wouldChange } from '../api/queries';
import { sawIndex } from '../api/revision';
import type { ApplyResponse, Change } from '../api/types';
import { type Column, DataTable } from './DataTable';
import { Differences } from './Differences';
import { Empty } from './Empty';
import { ErrorNote } from './ErrorNote';
import { words } from './words';

interface Props {
  /** YAML. */
  manifests: string;
  /** What the button says. */
  action?: string;
  onApplied: (response: ApplyResponse) => void;
  /** Accepts that groups delete more peerings than their limit. */
  force?: boolean;
  /** What there is to know about it: shown when the server would do it. */
  children?: ReactNode;
}

/** What manifests would change, as the server says in a dry run, and the button that does it. */
export function Preview({ manifests, action = 'Apply', onApplied, force = false, children }: Props) {
  const preview = useQuery(wouldChange(manifests, force));
  const doing = useMutation({
    mutationFn: () => apply(manifests, force),
    onSuccess: (response) => {
      sawIndex(response.index);
      notifications.show({ message: `${summary(response.changes)} stored`, color: 'green' });
      onApplied(response);
    },
  });
  const changes = preview.data?.changes.filter((c) => c.action !== 'unchanged') ?? [];
  return (
    <Stack gap="sm">
      {preview.isPending && <Text role="status">Asking the server what would change…</Text>}
      {preview.isError && <ErrorNote error={preview.error} title="The server would refuse this" />}
      {preview.data !== undefined && changes.length === 0 && <Empty title="Nothing would change" />}
      {changes
        .filter((c) => c.group === '')
        .map((c) => (
          <OneChange key={`${c.kind}/${c.name}`} change={c} />
        ))}
      <ByGroups changes={changes.filter((c) => c.group !== '')} />
      {doing.isError && <ErrorNote error={doing.error} title="Nothing was stored" />}
      <Group justify="flex-end">
        <Button onClick={() => doing.mutate()} loading={doing.isPending} disabled={changes.length === 0}>
          {action}
        </Button>
      </Group>
      {preview.isSuccess && children}
    </Stack>
  );
}

/** What groups would do because of it: as many changes as there are pairs. */
function ByGroups({ changes }: { changes: readonly Change[] }) {
  if (changes.length === 0) return null;
  return (
    <>
      <Text size="sm" fw={600}>
        {summary(changes)} by groups
      </Text>
      <DataTable
        label="Changes by groups"
        rows={changes}
        columns={groupColumns}
        rowKey={(c) => `${c.kind}/${c.name}`}
        prefix="preview-"
        height="20rem"
        empty={null}
      />
    </>
  );
}

const groupColumns: Column<Change>[] = [
  {
    id: 'action',
    header: 'Action',
    value: (c) => c.action,
    facet: true,
    cell: (c) => <ActionBadge action={c.action} />,
  },
  { id: 'peering', header: 'Peering', value: (c) => c.name },
  fieldColumn('acceptor', 'Acceptor'),
  fieldColumn('dialer', 'Dialer'),
  { id: 'by', header: 'By group', value: (c) => c.group },
];

/** A field of what comes, or of what goes. */
function fieldColumn(field: string, header: string): Column<Change> {
  return {
    id: field,
    header,
    value: (c) => {
      const found = c.fields.find((f) => f.field === `spec.${field}`);
      return (found?.after || found?.before || '').replaceAll('"', '');
    },
  };
}

const colors = words<string>({ create: 'green', update: 'blue', delete: 'red' });

function ActionBadge({ action }: { action: string }) {
  return (
    <Badge variant="outline" color={colors[action] ?? 'gray'}>
      {action}
    </Badge>
  );
}

function OneChange({ change }: { change: Change }) {
  return (
    <Stack gap={4}>
      <Group gap="xs">
        <ActionBadge action={change.action} />
        <Text fw={600}>
          {change.kind} {change.name}
        </Text>
      </Group>
      <Differences changes={change.fields} />
    </Stack>
  );
}

function summary(changes: readonly Change[]): string {
  const n = changes.filter((c) => c.action !== 'unchanged').length;
  return n === 1 ? 'One change' : `${n} changes`;
}
