import { Badge, Group } from '@mantine/core';
import { labelTexts } from './labels';

/** Labels, sorted by key. */
export function Labels({ labels }: { labels: Record<string, string> }) {
  const texts = labelTexts(labels);
  if (texts.length === 0) return <>–</>;
  return (
    <Group gap={4}>
      {texts.map((text) => (
        <Badge key={text} variant="default" size="sm" fw={400}>
          {text}
        </Badge>
      ))}
    </Group>
  );
}
