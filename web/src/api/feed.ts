// Follows the server's changes with one blocking query per tab, and has what they concern read again.

import type { QueryClient, QueryKey } from '@tanstack/react-query';
import { answer, api } from './client';
import { ApiError } from './error';
import { forgetIndex, sawIndex } from './revision';
import type { Answer } from './types';
import type * as schema from './schema.gen';

/** How long one blocking query waits. */
const wait = '60s';
/** Changes of a burst are read together. */
const burst = 100;
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
const onRequest = new Set(['doctor', 'session']);

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
  while (!end.aborted) {
    if (document.hidden) {
      onState({ state: 'paused', since: current });
      await visible(end);
      continue;
    }
    try {
      const changes = await poll(cursor, end);
      if (changes === undefined) continue; // the tab was hidden meanwhile
      if (changes.reset) forgetIndex();
      sawIndex(changes.index);
      // From now on, not from the page's first reads: what happened between them is read again once.
      if (cursor === '') changes.reset = true;
      cursor = changes.cursor;
      await refetch(client, changes);
      current = Date.now();
      retry = retryFirst;
      onState({ state: 'live' });
      await pause(burst, end);
    } catch (cause) {
      if (stopped(end)) return;
      if (cause instanceof ApiError && cause.fault === 'Invalid') cursor = '';
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

/** One blocking query; undefined when the tab is hidden: browsers have few connections for each server, and other tabs need them. */
async function poll(cursor: string, end: AbortSignal): Promise<Changes | undefined> {
  const hidden = new AbortController();
  const look = () => {
    if (document.hidden) hidden.abort();
  };
  document.addEventListener('visibilitychange', look);
  try {
    const signal = AbortSignal.any([end, hidden.signal]);
    return await answer(api.GET('/v1/changes', { params: { query: { cursor, wait } }, signal }));
  } catch (cause) {
    if (hidden.signal.aborted) return undefined;
    throw cause;
  } finally {
    document.removeEventListener('visibilitychange', look);
  }
}

/** Reads again what is on the page, and marks as old what is not. Done when it is read. */
async function refetch(client: QueryClient, changes: Changes): Promise<void> {
  if (!changes.reset && changes.changes.length === 0 && changes.observed.length === 0) return;
  await client.invalidateQueries({ predicate: (query) => concerns(query.queryKey, changes) }, { cancelRefetch: true });
}

/** Asks again: what is known of a signal before an await says nothing after it. */
function stopped(end: AbortSignal): boolean {
  return end.aborted;
}

function pause(ms: number, end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    end.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function visible(end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !end.aborted) return;
      document.removeEventListener('visibilitychange', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    end.addEventListener('abort', look);
  });
}
