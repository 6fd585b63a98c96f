import { expect, test } from 'vitest';
import type { Session } from '../api/types';
import { dueOf, isLast, toldOf } from './sessiontime';

const end = '2026-11-22T12:00:00Z';
const at = (time: string) => Date.parse(`2026-11-22T${time}Z`);

function session(expireTime: string | undefined, endTime = '2026-11-22T23:00:00Z'): Session {
  return { actor: 'api-token/admin', expireTime, endTime } as Session;
}

test.each([
  ['long before its end', '11:30:00', '', 'nothing'],
  ['a minute before its end', '11:59:00', '', 'warn'],
  ['once it was warned of', '11:59:30', end, 'nothing'],
  ['when another end was warned of', '11:59:30', '2026-11-22T11:30:00Z', 'warn'],
  ['at its end', '12:00:00', end, 'end'],
  ['after a machine has slept', '18:00:00', '', 'end'],
])('%s', (_, now, warned, expected) => {
  expect(dueOf(session(end), at(now), warned)).toBe(expected);
});

test('a session without an end has none', () => expect(dueOf(session(undefined), at('12:00:00'), '')).toBe('nothing'));

test('the server is believed', () => {
  expect(toldOf(session(end), undefined)).toBe('ended');
  expect(toldOf(session(end), session('2026-11-22T12:30:00Z'))).toBe('renewed');
  expect(toldOf(session(end), session(end))).toBe('as it was');
});

test('the last end is the one that no renewal moves', () => {
  expect(isLast(session(end))).toBe(false);
  expect(isLast(session(end, end))).toBe(true);
});
