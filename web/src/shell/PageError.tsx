import { Button, Code, Stack, Text, Title } from '@mantine/core';
import { useRouteError } from 'react-router';

/** What a page shows that failed by a mistake of its own, or whose code could not be loaded after the server was upgraded. */
export function PageError() {
  const error = useRouteError();
  return (
    <Stack gap="sm" role="alert" p="md">
      <Title order={1} size="h2">
        This page cannot be shown
      </Title>
      <Text>
        Its code did not come, or was perhaps made for another version of the server. Loading it again helps then.
      </Text>
      <Code block>{error instanceof Error ? error.message : String(error)}</Code>
      <Button w="fit-content" onClick={() => window.location.reload()}>
        Load again
      </Button>
    </Stack>
  );
}
