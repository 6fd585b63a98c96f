import { Card, Group, Loader, Stack, Text, Title } from '@mantine/core';
import { IconClockExclamation } from '@tabler/icons-react';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { useFeed } from '../shell/context';
import { Ago, BrowserAgo } from './Ago';
import { ErrorNote } from './ErrorNote';
import classes from './panel.module.css';

interface Props<T> {
  title: ReactNode;
  /** The question whose answer the panel shows. */
  query: UseQueryResult<T>;
  children: (data: T) => ReactNode;
  /** At the right of the title. */
  actions?: ReactNode;
  /** When what is shown was seen in the datacenter, where that is not when the server was asked. */
  seen?: (data: T) => string | undefined;
  /** When what is shown was true last, where whoever tells of it is silent; undefined: it is as new as the answer. */
  lastSeen?: (data: T) => string | undefined;
  /** The answer is not followed live: it is as old as the question. */
  onRequest?: boolean;
  order?: 2 | 3;
}

/** A part of a page that shows one answer: it loads, fails, and gets old, each visibly. */
export function Panel<T>({ title, query, children, actions, seen, lastSeen, onRequest = false, order = 2 }: Props<T>) {
  const { data, error, isPending, isError, dataUpdatedAt } = query;
  const seenAt = data === undefined ? undefined : seen?.(data);
  const silentSince = data === undefined ? undefined : lastSeen?.(data);
  return (
    <Card withBorder padding="md" component="section" className={classes.panel}>
      <Stack gap="sm">
        <Group justify="space-between" align="baseline" gap="xs">
          <Title order={order} size="h4">
            {title}
          </Title>
          <Group gap="sm">
            <Text size="xs" c="dimmed" component="span">
              {seenAt !== undefined && (
                <>
                  seen <Ago time={seenAt} />{' '}
                </>
              )}
              {silentSince !== undefined && <Silent since={silentSince} />}
              {data !== undefined && silentSince === undefined && (
                <Age updated={dataUpdatedAt} onRequest={onRequest || isError} />
              )}
            </Text>
            {actions}
          </Group>
        </Group>
        {isError && (
          <ErrorNote error={error} title={data === undefined ? undefined : 'This is old: reading it again failed'} />
        )}
        {isPending && <Loader size="sm" role="status" aria-label="Loading" />}
        {data !== undefined && children(data)}
      </Stack>
    </Card>
  );
}

/** What is shown is old, whatever the server says of it: nobody tells of it any more. */
function Silent({ since }: { since: string }) {
  return (
    <Text span c="var(--mantine-color-text)" fw={600} inherit data-testid="silent">
      <IconClockExclamation size={14} aria-hidden style={{ verticalAlign: 'text-bottom' }} /> old: last seen{' '}
      <Ago time={since} none="never" />
    </Text>
  );
}

/** live, or how old an answer is. */
export function Age({ updated, onRequest = false }: { updated: number; onRequest?: boolean }) {
  const feed = useFeed();
  if (feed.state === 'live' && !onRequest) return <>live</>;
  return (
    <>
      as of <BrowserAgo at={onRequest || feed.state === 'connecting' || feed.state === 'live' ? updated : feed.since} />
    </>
  );
}
