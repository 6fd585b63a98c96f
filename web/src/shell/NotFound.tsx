import { Stack, Text, Title } from '@mantine/core';
import { PageLink } from '../kit/links';

export function NotFound() {
  return (
    <Stack gap="xs">
      <Title order={1} size="h2">
        There is no such page
      </Title>
      <Text size="sm">
        The address may be of an older version.{' '}
        <PageLink to="/" underlined>
          Overview
        </PageLink>
      </Text>
    </Stack>
  );
}
