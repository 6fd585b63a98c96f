import { Alert, Badge } from '@mantine/core';
import { IconPlugConnected, IconPlugConnectedX, IconPlugX } from '@tabler/icons-react';
import { BrowserAgo } from '../kit/Ago';
import { useFeed } from './context';

/** Says across the page that what is shown is old, and how old. */
export function FeedBanner() {
  const feed = useFeed();
  if (feed.state !== 'reconnecting') return null;
  return (
    <Alert
      color="orange"
      variant="outline"
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
      <Badge
        variant="outline"
        color="green"
        visibleFrom="xs"
        role="status"
        data-feed="live"
        leftSection={<IconPlugConnected size={14} aria-hidden />}
      >
        Live
      </Badge>
    );
  }
  const word = feed.state === 'reconnecting' ? 'Reconnecting' : feed.state === 'paused' ? 'Paused' : 'Connecting';
  return (
    <Badge
      variant="outline"
      color="orange"
      role="status"
      data-feed={feed.state}
      leftSection={<IconPlugX size={14} aria-hidden />}
    >
      {word}
    </Badge>
  );
}
