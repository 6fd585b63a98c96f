import { Button, Card, Center, Code, PasswordInput, Stack, Text, Title } from '@mantine/core';
import { useState } from 'react';
import { logIn } from '../api/session';
import type { Session } from '../api/types';
import { ErrorNote } from '../kit/ErrorNote';

/** Logs in with an API token, which is sent once and kept nowhere. */
export function Login({ notice, onLogin }: { notice: string; onLogin: (session: Session) => void }) {
  const [token, setToken] = useState('');
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);

  const submit = async (event: React.SyntheticEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      onLogin(await logIn(token.trim()));
    } catch (cause) {
      setError(cause);
    } finally {
      setBusy(false);
      setToken('');
    }
  };

  return (
    <Center component="main" mih="100vh" p="md">
      <Card withBorder shadow="sm" w={420} maw="100%" padding="lg">
        <form onSubmit={submit}>
          <Stack>
            <Title order={1} size="h2">
              isthmus
            </Title>
            {notice !== '' && <Text role="status">{notice}</Text>}
            <PasswordInput
              label="API token"
              description="It is exchanged for a session that ends when nobody uses it."
              value={token}
              onChange={(event) => setToken(event.currentTarget.value)}
              autoComplete="off"
              required
              data-autofocus
            />
            {error !== undefined && <ErrorNote error={error} />}
            <Button type="submit" loading={busy}>
              Log in
            </Button>
            <Text size="sm" c="dimmed">
              The first token is in <Code>admin.token</Code> in the server&apos;s data directory. More are made with{' '}
              <Code>isthmus api-token create</Code>, or here under Access.
            </Text>
          </Stack>
        </form>
      </Card>
    </Center>
  );
}
