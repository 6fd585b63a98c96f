import { Stack, Text } from '@mantine/core';
import type { ReactNode } from 'react';

/** What stands where nothing is (yet): what that means, and what to do next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Stack gap={4} align="center" py="lg" ta="center">
      <Text fw={600}>{title}</Text>
      {children !== undefined && (
        <Text size="sm" c="dimmed" component="div" maw={560}>
          {children}
        </Text>
      )}
    </Stack>
  );
}
