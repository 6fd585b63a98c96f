import { notifications } from '@mantine/notifications';
import { type EventFilter, eventPage } from '../../api/queries';
import type { Event } from '../../api/types';
import { download } from '../../kit/csv';

/** More than this is a matter for `isthmus events` or the API. */
const most = 20_000;

/** Saves the events that a filter chooses as JSON lines, hashes included: the chain can be checked from them. */
export async function exportEvents(filter: EventFilter): Promise<void> {
  const all: Event[] = [];
  let token = '';
  try {
    do {
      const page = await eventPage(filter, token, 1000);
      all.push(...page.events);
      token = page.nextPageToken;
    } while (token !== '' && all.length < most);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    notifications.show({ message: `Nothing was exported: ${message}`, color: 'red' });
    return;
  }
  if (token !== '') {
    notifications.show({ message: `The newest ${all.length} events were exported; isthmus events has all` });
  }
  download('isthmus-events.jsonl', 'application/jsonl', all.map((e) => JSON.stringify(e)).join('\n') + '\n');
}
