import { Alert, Badge } from '@mantine/core';
import { IconPlugConnectedX, IconPlugX } from '@tabler/icons-react';
import { BrowserAgo } from '../kit/Ago';
import { useFeed } from './context';

/** Says across the page that what is shown is old, and how old. */
export function FeedBanner() {
  const feed = useFeed();
  if (feed.state !== 'reconnecting') return null;
  return (
    <Alert
      color="orange"
      variant="light"
      mb="md"
      role="status"
      icon={<IconPlugConnectedX aria-hidden />}
      title="Reconnecting"
    >
      The server does not answer: what you see is of <BrowserAgo at={feed.since} />. ({feed.message})
    </Alert>
  );
}

/** In the header: live or not. */
export function FeedMark() {
  const feed = useFeed();
  if (feed.state === 'live') {
    return (
      <Badge variant="light" color="green" visibleFrom="xs" role="status" data-feed="live">
        Live
      </Badge>
    );
  }
  const text = feed.state === 'reconnecting' ? 'Reconnecting' : feed.state === 'paused' ? 'Paused' : 'Connecting';
  return (
    <Badge variant="light" color="orange" role="status" data-feed={feed.state} leftSection={<IconPlugX size={12} />}>
      {text}
    </Badge>
  );
}
