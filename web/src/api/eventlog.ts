// The audit log as a page shows it: it only grows, so that what was read already is not read again.

import type { Event } from './types';

/** The newest part of the log, newest first. */
export interface EventLog {
  events: Event[];
  /** The page token of what is before them; empty: that is all. */
  older: string;
  /** How many of them came because somebody asked for older ones. */
  asked: number;
}

interface Page {
  events: Event[];
  nextPageToken: string;
}

/** So many are kept of what comes by itself, on a page that stays open; with more of them the log begins anew. */
const most = 1000;

/** Reads what is new, and puts it before what is known. Another page may have been added to that meanwhile. */
export async function grown(
  known: () => EventLog | undefined,
  read: (token: string) => Promise<Page>,
): Promise<EventLog> {
  const fresh: Event[] = [];
  let first: Page | undefined;
  let token = '';
  do {
    const page = await read(token);
    const before = known();
    const newest = before?.events[0];
    const at = newest === undefined ? -1 : page.events.findIndex((e) => isSame(e, newest));
    first ??= page;
    if (before !== undefined && at >= 0) {
      const events = [...fresh, ...page.events.slice(0, at), ...before.events];
      return events.length - before.asked > most ? begun(first) : { ...before, events };
    }
    fresh.push(...page.events);
    token = page.nextPageToken;
    if (newest === undefined) return begun(first);
  } while (token !== '' && fresh.length < most);
  return begun(first);
}

/** A log of which one page was read. */
function begun({ events, nextPageToken }: Page): EventLog {
  return { events, older: nextPageToken, asked: 0 };
}

/** The log with one page more at its end. */
export function withOlder(log: EventLog, page: Page): EventLog {
  return {
    events: [...log.events, ...page.events],
    older: page.nextPageToken,
    asked: log.asked + page.events.length,
  };
}

/** Numbers begin again when a server is set up anew: the hash tells one log from another. */
function isSame(a: Event, b: Event): boolean {
  return a.name === b.name && a.status?.hash === b.status?.hash;
}
