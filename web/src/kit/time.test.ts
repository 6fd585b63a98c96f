import { expect, test } from 'vitest';
import { nearEnd, parseTime, relative, span } from './time';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

test.each([
  [0, '0 s'],
  [499, '0 s'],
  [12 * second, '12 s'],
  [3 * minute, '3 min'],
  [3 * minute + 4 * second, '3 min 4 s'],
  [2 * hour, '2 h'],
  [2 * hour + 59 * minute + 59 * second, '2 h'],
  [3 * day + 4 * hour, '3 d 4 h'],
  [3 * day + 4 * minute, '3 d'],
  [-5, '0 s'],
])('a span of %d ms is %s', (ms, text) => {
  expect(span(ms)).toBe(text);
});

test.each([
  [0, 'now'],
  [-12 * second, '12 s ago'],
  [12 * second, 'in 12 s'],
  [364 * day + 23 * hour, 'in 364 d 23 h'],
])('a time %d ms from now is %s', (from, text) => {
  expect(relative(1e12 + from, 1e12)).toBe(text);
});

test('what is no time is none', () => {
  expect(parseTime(undefined)).toBeUndefined();
  expect(parseTime('')).toBeUndefined();
  expect(parseTime('yesterday')).toBeUndefined();
  expect(parseTime(5)).toBe(5);
  expect(parseTime('1970-01-01T00:00:01Z')).toBe(1000);
});

test.each([
  [31 * day, 'far'],
  [29 * day, 'near'],
  [1, 'near'],
  [0, 'over'],
  [-day, 'over'],
] as const)('an end %d ms from now is %s', (from, what) => {
  expect(nearEnd(1e12 + from, 1e12, 30 * day)).toBe(what);
});
