import { Badge, Group } from '@mantine/core';

/** Labels, sorted by key. */
export function Labels({ labels }: { labels: Record<string, string> }) {
  const entries = Object.entries(labels).sort(([a], [b]) => a.localeCompare(b));
  if (entries.length === 0) return <>–</>;
  return (
    <Group gap={4}>
      {entries.map(([key, value]) => (
        <Badge key={key} variant="default" size="sm" tt="none" fw={400}>
          {key}={value}
        </Badge>
      ))}
    </Group>
  );
}
