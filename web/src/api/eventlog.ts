// The audit log as a page shows it: it only grows, so that what was read already is not read again.

import type { Event } from './types';

/** The newest part of the log, newest first. */
export interface EventLog {
  events: Event[];
  /** The page token of what is before them; empty: that is all. */
  older: string;
}

interface Page {
  events: Event[];
  nextPageToken: string;
}

/** So many new ones are put before what is known; with more of them the log begins anew. */
const most = 1000;

/** Reads what is new, and puts it before what is known. Another page may have been added to that meanwhile. */
export async function grown(
  known: () => EventLog | undefined,
  read: (token: string) => Promise<Page>,
): Promise<EventLog> {
  const fresh: Event[] = [];
  let token = '';
  do {
    const page = await read(token);
    const before = known();
    const newest = before?.events[0];
    const at = newest === undefined ? -1 : page.events.findIndex((e) => isSame(e, newest));
    if (before !== undefined && at >= 0) {
      return { events: [...fresh, ...page.events.slice(0, at), ...before.events], older: before.older };
    }
    fresh.push(...page.events);
    token = page.nextPageToken;
    if (newest === undefined) break;
  } while (token !== '' && fresh.length < most);
  return { events: fresh, older: token };
}

/** The log with one page more at its end. */
export function withOlder(log: EventLog, page: Page): EventLog {
  return { events: [...log.events, ...page.events], older: page.nextPageToken };
}

/** Numbers begin again when a server is set up anew: the hash tells one log from another. */
function isSame(a: Event, b: Event): boolean {
  return a.name === b.name && a.status?.hash === b.status?.hash;
}
