import { QueryClient } from '@tanstack/react-query';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

// A server that answers each question for changes with what the test has for it, in turn; with more questions it never answers.
const asked: { cursor: string; wait: string }[] = [];
let answers: (() => unknown)[] = [];
const page = new EventTarget() as EventTarget & { hidden: boolean };
vi.stubGlobal('window', { location: { origin: 'http://127.0.0.1' } });
vi.stubGlobal('document', page);
vi.stubGlobal('localStorage', { getItem: () => null });
vi.mock('./client', () => ({
  answer: (given: Promise<unknown>) => given,
  api: {
    GET: (
      _: string,
      { params, signal }: { params: { query: { cursor: string; wait: string } }; signal: AbortSignal },
    ) => {
      asked.push(params.query);
      const next = answers.shift();
      return new Promise((resolve, reject) => {
        const failed = () => reject(new DOMException('', 'AbortError'));
        if (signal.aborted) failed();
        signal.addEventListener('abort', failed);
        if (next === undefined) return;
        try {
          resolve(next());
        } catch (cause) {
          reject(cause instanceof Error ? cause : new Error(String(cause)));
        }
      });
    },
  },
}));
const { follow } = await import('./feed');
const { ApiError } = await import('./error');

function changed(cursor: string, names: string[] = [], reset = false) {
  const changes = names.map((name) => ({ kind: 'Peering', name, deleted: false, index: '7' }));
  return () => ({ cursor, reset, changes, observed: [], index: '7', time: undefined });
}

function failing(status: number, fault: string) {
  return () => {
    throw new ApiError('no', status, fault);
  };
}

/** Follows with a page that has read one peering and the doctor's checks; gives what the page was told, and how often each was read again. */
function following() {
  const client = new QueryClient();
  const old: string[] = [];
  for (const key of [
    ['one', 'Peering', 'dc1-dc2'],
    ['one', 'Peering', 'dc1-dc3'],
    ['doctor', ''],
  ])
    client.setQueryData(key, {});
  client.getQueryCache().subscribe((event) => {
    if (event.type === 'updated' && event.action.type === 'invalidate') {
      old.push((event.query.queryKey as string[]).join(' '));
      client.setQueryData(event.query.queryKey, {}); // it is read again
    }
  });
  const states: string[] = [];
  const feed = follow(client, ({ state }) => states.push(state));
  return { old, states, feed };
}

beforeEach(() => {
  vi.useFakeTimers();
  asked.length = 0;
  answers = [];
  page.hidden = false;
});
afterEach(() => void vi.useRealTimers());

test('the first answer has everything read again, whatever it says, and what follows what it says', async () => {
  answers = [changed('1'), changed('2', ['dc1-dc2'])];
  const { old, states, feed } = following();
  await vi.advanceTimersByTimeAsync(50);
  expect(states).toEqual(['live']);
  expect(old).toEqual(['one Peering dc1-dc2', 'one Peering dc1-dc3']); // what is looked at on request is not
  await vi.advanceTimersByTimeAsync(200);
  expect(old.slice(2)).toEqual(['one Peering dc1-dc2']);
  expect(asked).toEqual([
    { cursor: '', wait: '0s' },
    { cursor: '1', wait: '60s' },
    { cursor: '2', wait: '60s' },
  ]);
  feed.stop();
});

test('a server that does not answer is asked again, and then everything is read again', async () => {
  answers = [changed('1'), failing(503, 'unavailable'), failing(0, 'unreachable'), changed('1')];
  const { old, states, feed } = following();
  await vi.advanceTimersByTimeAsync(150);
  expect(states).toEqual(['live', 'reconnecting']);
  old.length = 0;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(states).toEqual(['live', 'reconnecting', 'reconnecting', 'live']);
  expect(old).toEqual(['one Peering dc1-dc2', 'one Peering dc1-dc3']);
  expect(asked.map((a) => a.wait)).toEqual(['0s', '60s', '0s', '0s', '60s']);
  feed.stop();
});

test('a cursor that the server does not know is forgotten', async () => {
  answers = [changed('1'), failing(400, 'invalid'), changed('9')];
  const { feed } = following();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked.map((a) => a.cursor)).toEqual(['', '1', '', '9']);
  feed.stop();
});

test('a hidden tab asks for nothing, and reads everything again when it is seen', async () => {
  answers = [changed('1')];
  const { old, states, feed } = following();
  await vi.advanceTimersByTimeAsync(200);
  old.length = 0;
  page.hidden = true;
  page.dispatchEvent(new Event('visibilitychange'));
  await vi.advanceTimersByTimeAsync(120_000);
  expect(states).toEqual(['live', 'paused']);
  expect(asked).toHaveLength(2);
  answers = [changed('5')];
  page.hidden = false;
  page.dispatchEvent(new Event('visibilitychange'));
  await vi.advanceTimersByTimeAsync(200);
  expect(states).toEqual(['live', 'paused', 'live']);
  expect(asked[2]).toEqual({ cursor: '1', wait: '0s' });
  expect(old).toEqual(['one Peering dc1-dc2', 'one Peering dc1-dc3']);
  feed.stop();
});

test('what is stopped asks for nothing more', async () => {
  answers = [changed('1')];
  const { states, feed } = following();
  await vi.advanceTimersByTimeAsync(50);
  feed.stop();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(states).toEqual(['live']);
  expect(asked).toHaveLength(1);
});
