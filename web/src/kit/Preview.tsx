import { Badge, Button, Group, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery } from '@tanstack/react-query';
import { apply, dryRun } from '../api/apply';
import { sawIndex } from '../api/revision';
import type { ApplyResponse, Change } from '../api/types';
import { Differences } from './Differences';
import { Empty } from './Empty';
import { ErrorNote } from './ErrorNote';

interface Props {
  /** YAML. */
  manifests: string;
  /** What the button says. */
  action?: string;
  onApplied: (response: ApplyResponse) => void;
}

/** What manifests would change, as the server says in a dry run, and the button that does it. */
export function Preview({ manifests, action = 'Apply', onApplied }: Props) {
  const preview = useQuery({
    queryKey: ['dry-run', manifests],
    queryFn: () => dryRun(manifests),
    retry: false,
    gcTime: 0,
    staleTime: 0,
  });
  const doing = useMutation({
    mutationFn: () => apply(manifests),
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
      {changes.map((c) => (
        <OneChange key={`${c.kind}/${c.name}`} change={c} />
      ))}
      {doing.isError && <ErrorNote error={doing.error} title="Nothing was stored" />}
      <Group justify="flex-end">
        <Button onClick={() => doing.mutate()} loading={doing.isPending} disabled={changes.length === 0}>
          {action}
        </Button>
      </Group>
    </Stack>
  );
}

const colors: Record<string, string> = { create: 'green', update: 'blue', delete: 'red' };

function OneChange({ change }: { change: Change }) {
  return (
    <Stack gap={4}>
      <Group gap="xs">
        <Badge
          variant="outline"
          color={colors[change.action] ?? 'gray'}
          tt="none"
          styles={{ label: { color: 'var(--mantine-color-text)' } }}
        >
          {change.action}
        </Badge>
        <Text fw={600}>
          {change.kind} {change.name}
        </Text>
        {change.group !== '' && (
          <Text size="sm" c="dimmed">
            by PeeringGroup {change.group}
          </Text>
        )}
      </Group>
      <Differences changes={change.fields} />
    </Stack>
  );
}

function summary(changes: readonly Change[]): string {
  const n = changes.filter((c) => c.action !== 'unchanged').length;
  return n === 1 ? 'One change' : `${n} changes`;
}
