import { Group, Stack, Title } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';

/** A page: its title (also the browser's), what can be done with it, and its parts. */
export function Page({ title, badge, actions, children }: Props) {
  useEffect(() => {
    document.title = `${title} · isthmus`;
  }, [title]);
  return (
    <Stack gap="md">
      <Group justify="space-between">
        <Group gap="sm">
          <Title order={1} size="h2">
            {title}
          </Title>
          {badge}
        </Group>
        <Group gap="xs">{actions}</Group>
      </Group>
      {children}
    </Stack>
  );
}

interface Props {
  title: string;
  badge?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}
