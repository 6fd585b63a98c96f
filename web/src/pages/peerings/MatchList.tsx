import { Badge, Card, Group, Text } from '@mantine/core';
import { IconTopologyStar3 } from '@tabler/icons-react';
import { pairs } from './group';

const shown = 40;

/** Whom a group would connect, as it is now. */
export function MatchList({
  members,
  hubs,
  shape,
}: {
  members: readonly string[];
  hubs: ReadonlySet<string>;
  shape: string;
}) {
  const hubbed = shape === 'hub-and-spoke';
  const some = members.slice(0, shown);
  const count = members.filter((m) => hubs.has(m)).length;
  const made = pairs(shape, members.length, count);
  return (
    <Card withBorder padding="sm" aria-label="Who is chosen" component="section">
      <Text size="sm" role="status" mb="xs">
        {members.length === 0
          ? 'Nobody is chosen yet.'
          : `${plural(members.length, 'datacenter')} chosen${hubbed ? `, of them ${plural(count, 'hub')}` : ''}: ${plural(made, 'peering')}.`}
      </Text>
      <Group gap={4} component="ul" style={{ listStyle: 'none', margin: 0, padding: 0 }}>
        {some.map((name) => (
          <Badge
            key={name}
            component="li"
            variant="default"
            fw={400}
            leftSection={
              hubbed && hubs.has(name) ? <IconTopologyStar3 size={14} aria-label="hub" role="img" /> : undefined
            }
          >
            {name}
          </Badge>
        ))}
        {members.length > shown && (
          <Text size="sm" component="li">
            and {members.length - shown} more
          </Text>
        )}
      </Group>
    </Card>
  );
}

function plural(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}
