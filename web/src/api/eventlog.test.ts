import { expect, test } from 'vitest';
import { type EventLog, grown, withOlder } from './eventlog';
import type { Event } from './types';

function event(n: number, log = ''): Event {
  return { name: String(n), status: { hash: `${log}${n}` } } as Event;
}

/** A log of so many events, read in pages of two; tells what was asked for. */
function server(events: number, log = '') {
  const asked: string[] = [];
  const read = (token: string) => {
    asked.push(token);
    const first = token === '' ? events : Number(token);
    const numbers = [first, first - 1].filter((n) => n > 0);
    return Promise.resolve({
      events: numbers.map((n) => event(n, log)),
      nextPageToken: first > 2 ? String(first - 2) : '',
    });
  };
  return { asked, read };
}

const numbersOf = (log: EventLog) => log.events.map((e) => Number(e.name));

test('a log that is opened has one page', async () => {
  const { asked, read } = server(5);
  const log = await grown(() => undefined, read);
  expect(numbersOf(log)).toEqual([5, 4]);
  expect(log.older).toBe('3');
  expect(asked).toEqual(['']);
});

test('what is new comes before what is known, and nothing is read twice', async () => {
  const known: EventLog = { events: [5, 4, 3, 2].map((n) => event(n)), older: '1', asked: 0 };
  const one = server(6);
  expect(numbersOf(await grown(() => known, one.read))).toEqual([6, 5, 4, 3, 2]);
  expect(one.asked).toEqual(['']);
  const many = server(9);
  const log = await grown(() => known, many.read);
  expect(numbersOf(log)).toEqual([9, 8, 7, 6, 5, 4, 3, 2]);
  expect(log.older).toBe('1');
  expect(many.asked).toEqual(['', '7', '5']);
});

test('a log in which nothing is new stays', async () => {
  const known: EventLog = { events: [event(5)], older: '4', asked: 0 };
  expect(await grown(() => known, server(5).read)).toEqual(known);
});

test('an older page that comes while new ones are read is kept', async () => {
  let known: EventLog = { events: [event(5), event(4)], older: '3', asked: 0 };
  const { read } = server(6);
  const log = await grown(
    () => known,
    async (token) => {
      const page = await read(token);
      known = withOlder(known, { events: [event(3), event(2)], nextPageToken: '1' });
      return page;
    },
  );
  expect(numbersOf(log)).toEqual([6, 5, 4, 3, 2]);
  expect(log.older).toBe('1');
});

test('another log begins anew', async () => {
  const known: EventLog = { events: [event(5), event(4)], older: '3', asked: 0 };
  const log = await grown(() => known, server(6, 'other').read);
  expect(log.events[0]?.status?.hash).toBe('other6');
  expect(numbersOf(log)).toEqual([6, 5]);
  expect(log.older).toBe('4');
});

test('a page that stays open keeps what came last, and what somebody asked for', async () => {
  const numbers = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, i) => event(from - i));
  const known: EventLog = { events: numbers(1000, 1), older: '', asked: 0 };
  expect(numbersOf(await grown(() => known, server(1001).read))).toEqual([1001, 1000]);
  const asked: EventLog = { events: numbers(1200, 1), older: '', asked: 200 };
  expect((await grown(() => asked, server(1200).read)).events).toHaveLength(1200);
  expect(numbersOf(await grown(() => asked, server(1201).read))).toEqual([1201, 1200]);
});
