import { describe, expect, test } from 'vitest';
import type { Trend, TrendPoint } from '../../../api/types';
import { curvesOf, pointAt, saidOf, worstOf, wordsOf } from './curve';

const none = { healthy: 0, pending: 0, degraded: 0, failing: 0, unknown: 0 };

function point(seconds: number, datacenters: Partial<typeof none>, connections: Partial<typeof none> = {}): TrendPoint {
  return {
    time: new Date(seconds * 1000).toISOString(),
    datacenters: { ...none, ...datacenters },
    connections: { ...none, ...connections },
  };
}

function trend(now: number, ...points: TrendPoint[]): Trend {
  return { points, stepSeconds: 10, beginTime: undefined, time: new Date(now * 1000).toISOString() };
}

describe('curvesOf', () => {
  test('has one list for each word, and reaches until now', () => {
    const curves = curvesOf(trend(25, point(10, { failing: 2 }), point(20, { unknown: 1, pending: 3 })), 'datacenters');
    expect(wordsOf('datacenters')).toEqual(['failing', 'unknown', 'pending']);
    expect(curves).toEqual([
      [10, 20, 25],
      [2, 0, 0],
      [0, 1, 1],
      [0, 3, 3],
    ]);
  });
  test('does not connect what nobody counted', () => {
    const curves = curvesOf(trend(2000, point(10, {}, { degraded: 1 }), point(1000, {})), 'connections');
    expect(curves[0]).toEqual([10, 11, 1000]);
    expect(curves[2]).toEqual([1, null, 0]);
  });
  test('is empty of nothing', () => expect(curvesOf(trend(10), 'datacenters')).toEqual([[], [], [], []]));
});

test('saidOf leaves out what there is none of', () => {
  expect(saidOf(point(0, {}, { healthy: 7, degraded: 2 }), 'connections')).toBe('2 stale or one-sided, 7 healthy');
  expect(saidOf(point(0, {}), 'datacenters')).toBe('0 healthy');
});

test('worstOf is the latest of the worst', () => {
  const points = [
    point(1, { failing: 1 }),
    point(2, { failing: 1, unknown: 1 }),
    point(3, { unknown: 2 }),
    point(4, { pending: 9 }),
  ];
  expect(worstOf(points, 'datacenters')).toBe(points[2]);
  expect(worstOf(points, 'connections')).toBeUndefined();
});

test('pointAt is what was so', () => {
  const points = [point(10, {}), point(20, {})];
  expect(pointAt(points, 19)).toBe(points[0]);
  expect(pointAt(points, 20)).toBe(points[1]);
  expect(pointAt(points, 5)).toBeUndefined();
});
