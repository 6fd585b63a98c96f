import { expect, test } from 'vitest';
import type { HistorySpan } from '../api/types';
import { percent, shares, stretches, verdictLike } from './history';

const now = Date.parse('2030-01-01T12:00:00Z');
const at = (minutes: number) => new Date(now - minutes * 60_000).toISOString();
const span = (state: string, from: number, to?: number): HistorySpan => ({
  state,
  start: at(from),
  end: to === undefined ? undefined : at(to),
  reason: '',
  message: '',
  datacenter: '',
});
const spans = [span('pending', 200, 190), span('healthy', 190, 30), span('failing', 30, 20), span('healthy', 20)];

test('a window cuts what is before it', () => {
  const parts = stretches(spans, now, 3_600_000);
  expect(parts.map((p) => [p.state, (p.end - p.start) / 60_000])).toEqual([
    ['healthy', 30],
    ['failing', 10],
    ['healthy', 20],
  ]);
  expect(parts.at(-1)?.current).toBe(true);
  expect(stretches(spans, now, 0)).toHaveLength(4);
});

test('what has just begun is there', () => {
  expect(stretches([span('pending', 0)], now, 3_600_000)).toHaveLength(1);
});

test('shares add up, the largest first', () => {
  const all = shares(stretches(spans, now, 3_600_000));
  expect(all[0]?.state).toBe('healthy');
  expect(all[0]?.share).toBeCloseTo(5 / 6);
  expect(all.reduce((sum, s) => sum + s.share, 0)).toBeCloseTo(1);
});

test('a percentage never hides a short fault', () => {
  expect(percent(1)).toBe('100 %');
  expect(percent(0.99999)).toBe('> 99.9 %');
  expect(percent(0.00001)).toBe('< 0.1 %');
  expect(percent(0.5)).toBe('50 %');
});

test('states of other kinds look as verdicts do', () => {
  expect(verdictLike('online')).toBe('healthy');
  expect(verdictLike('bundling')).toBe('pending');
  expect(verdictLike('stale')).toBe('stale');
});
