// Follows the server's changes with one blocking query per tab, and has what they concern read again.

import type { QueryClient, QueryKey } from '@tanstack/react-query';
import { answer, api } from './client';
import { ApiError } from './error';
import { forgetIndex, sawIndex } from './revision';
import type { Answer } from './types';
import type * as schema from './schema.gen';

/** How long one blocking query waits, and how long for its answer at most (ms): a server that went without a word never answers. */
const wait = '60s';
const answerWithin = 75_000;
/** Changes of a burst are read together (ms). */
const burst = 100;
/** A fleet where something changes all the time is read a part of the time only: so many times what a reading takes, and so long at most (ms). */
const restFactor = 2;
const restMost = 5000;
/** A slow answer does not keep the page from what comes after it (ms). */
const readWithin = 10_000;
const retryFirst = 250;
const retryMost = 5000;

export type FeedState =
  | { state: 'connecting' }
  /** Everything on the page is as the server has it. */
  | { state: 'live' }
  /** The server does not answer since a time (ms): what is shown is as old as that. */
  | { state: 'reconnecting'; since: number; message: string }
  /** The tab is hidden: nothing is asked. */
  | { state: 'paused'; since: number };

type Changes = Answer<schema.ListChangesResponse>;

// Kinds of which the fleet's map and verdicts are made.
const ofTheFleet = new Set(['Datacenter', 'Peering', 'Federation', 'Agent', 'Gateway', 'PeeringGroup']);
// Answers that are put together out of reports: whatever an agent tells may change them.
const outOfReports = new Set(['fleet', 'connections', 'members', 'reachability', 'services', 'explain', 'plan']);
// What takes the server long is not read again at each change: pages that show it say when it was looked at.
// So is what a dry run would change: asked when the manifest is ready, and decided by the server when it is applied.
// A trend is asked for as often as it is counted.
const onRequest = new Set(['doctor', 'session', 'dry-run', 'removal', 'trend']);

/** Tells whether a query's answer may be another after the changes. */
export function concerns(key: QueryKey, changes: Changes): boolean {
  const [what, first, second] = key as [string, ...unknown[]];
  if (onRequest.has(what)) return false;
  if (changes.reset) return true;
  const observed = changes.observed.length > 0;
  switch (what) {
    case 'list':
      return changes.changes.some((c) => c.kind === first);
    case 'one':
      return changes.changes.some((c) => c.kind === first && c.name === second);
    case 'state':
      return (
        changes.observed.includes(String(first)) ||
        changes.changes.some((c) => c.kind !== 'Event' && (c.kind !== 'Datacenter' || c.name === first))
      );
    case 'events':
    case 'history':
      return changes.changes.some((c) => c.kind === 'Event');
    case 'server':
      return false;
  }
  if (!outOfReports.has(what)) return changes.changes.length > 0;
  if (observed) return true;
  if (what === 'fleet') return changes.changes.some((c) => ofTheFleet.has(c.kind));
  return changes.changes.some((c) => c.kind !== 'Event');
}

export interface Feed {
  stop: () => void;
}

/** Follows the changes until stop. onState hears each change of the feed's own state. */
export function follow(client: QueryClient, onState: (state: FeedState) => void): Feed {
  const end = new AbortController();
  void run(client, onState, end.signal);
  return { stop: () => end.abort() };
}

async function run(client: QueryClient, onState: (state: FeedState) => void, end: AbortSignal): Promise<void> {
  let cursor = '';
  let current = Date.now();
  let retry = retryFirst;
  // Whether what is on the page is known to be current: if not, the server is asked for what it has, and not to wait for more.
  let live = false;
  while (!end.aborted) {
    if (document.hidden) {
      live = false;
      onState({ state: 'paused', since: current });
      await visible(end);
      continue;
    }
    try {
      const changes = await poll(cursor, live ? wait : '0s', end);
      if (changes === undefined) continue; // the tab was hidden meanwhile
      if (changes.reset) forgetIndex();
      sawIndex(changes.index);
      cursor = changes.cursor;
      // At first, and after the server could not be asked: what was read meanwhile may be old, or may have failed.
      const began = Date.now();
      await refetch(client, live ? changes : { ...changes, reset: true }, end);
      current = Date.now();
      retry = retryFirst;
      live = true;
      onState({ state: 'live' });
      await pause(rest(current - began), end);
    } catch (cause) {
      if (stopped(end)) return;
      if (cause instanceof ApiError && cause.fault === 'invalid') cursor = '';
      live = false;
      onState({
        state: 'reconnecting',
        since: current,
        message: cause instanceof Error ? cause.message : String(cause),
      });
      await pause(retry + Math.random() * retry, end);
      retry = Math.min(retry * 2, retryMost);
    }
  }
}

/** How long to wait before changes are asked for again, after a reading that took so long (ms). */
export function rest(took: number): number {
  return Math.min(Math.max(burst, took * restFactor), restMost);
}

/** One blocking query; undefined when the tab is hidden: browsers have few connections for each server, and other tabs need them. */
async function poll(cursor: string, wait: string, end: AbortSignal): Promise<Changes | undefined> {
  const hidden = new AbortController();
  const look = () => {
    if (document.hidden) hidden.abort();
  };
  document.addEventListener('visibilitychange', look);
  try {
    const signal = AbortSignal.any([end, hidden.signal, AbortSignal.timeout(answerWithin)]);
    return await answer(api.GET('/v1/changes', { params: { query: { cursor, wait } }, signal }));
  } catch (cause) {
    if (hidden.signal.aborted) return undefined;
    throw cause;
  } finally {
    document.removeEventListener('visibilitychange', look);
  }
}

/** Reads again what is on the page, and marks as old what is not. Done when it is read. */
async function refetch(client: QueryClient, changes: Changes, end: AbortSignal): Promise<void> {
  if (!changes.reset && changes.changes.length === 0 && changes.observed.length === 0) return;
  // What is being read is read to its end, and then once more: given up each time, a long answer would never come.
  const busy = client
    .getQueryCache()
    .findAll({ fetchStatus: 'fetching', predicate: (query) => concerns(query.queryKey, changes) });
  const again = busy.map(async (query) => {
    await query.promise?.catch(() => undefined);
    await client.invalidateQueries({ queryKey: query.queryKey, exact: true });
  });
  const idle = client.invalidateQueries({
    predicate: (query) => !busy.includes(query) && concerns(query.queryKey, changes),
  });
  const read = new AbortController();
  await Promise.race([Promise.all([idle, ...again]), pause(readWithin, AbortSignal.any([end, read.signal]))]);
  read.abort();
}

/** Asks again: what is known of a signal before an await says nothing after it. */
function stopped(end: AbortSignal): boolean {
  return end.aborted;
}

function pause(ms: number, end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      end.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    end.addEventListener('abort', done);
  });
}

function visible(end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !end.aborted) return;
      document.removeEventListener('visibilitychange', look);
      end.removeEventListener('abort', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    end.addEventListener('abort', look);
  });
}
