// What the curves show of a trend, and what is said of them. Pure.

import { parseTime } from '../../../kit/time';
import type { Trend, TrendPoint } from '../../../api/types';

export const things = ['datacenters', 'connections'] as const;
export type Thing = (typeof things)[number];

/** What is counted of each, the worst first; what is healthy is the rest. */
export const words = ['failing', 'degraded', 'unknown', 'pending'] as const;
export type Word = (typeof words)[number];

/** What words mean to whoever reads. */
export const titles: Readonly<Record<Word, string>> = {
  failing: 'failing',
  degraded: 'stale or one-sided',
  unknown: 'unknown',
  pending: 'on the way',
};

/** What can be of a thing: a datacenter is never stale. */
export function wordsOf(thing: Thing): readonly Word[] {
  return thing === 'datacenters' ? words.filter((w) => w !== 'degraded') : words;
}

export function countOf(point: TrendPoint, thing: Thing, word: Word | 'healthy'): number {
  return point[thing]?.[word] ?? 0;
}

/** The time of a point (s), as curves have it. */
function secondsOf(point: TrendPoint): number {
  return (parseTime(point.time) ?? 0) / 1000;
}

/** Points farther from each other than this (s) are not connected: nobody counted meanwhile. */
export function gapOf(stepSeconds: number): number {
  return Math.max(120, 3 * stepSeconds);
}

/** The curves: times (s), then the count of each word; null where nobody counted. The last point reaches until now. */
export function curvesOf(trend: Trend, thing: Thing): [number[], ...(number | null)[][]] {
  const gap = gapOf(trend.stepSeconds);
  const times: number[] = [];
  const counts: (number | null)[][] = wordsOf(thing).map(() => []);
  for (const point of trend.points) {
    const at = secondsOf(point);
    const before = times.at(-1);
    if (before !== undefined && at - before > gap) {
      times.push(before + 1);
      for (const list of counts) list.push(null);
    }
    times.push(at);
    wordsOf(thing).forEach((word, i) => counts[i]?.push(countOf(point, thing, word)));
  }
  const [last, now] = [times.at(-1), (parseTime(trend.time) ?? 0) / 1000];
  if (last !== undefined && now > last && now - last <= gap) {
    times.push(now);
    for (const list of counts) list.push(list.at(-1) ?? null);
  }
  return [times, ...counts];
}

/** What there was of a point in words, the worst first: 3 failing, 1 unknown, 996 healthy. */
export function saidOf(point: TrendPoint, thing: Thing): string {
  const wrong = wordsOf(thing).flatMap((word) => {
    const n = countOf(point, thing, word);
    return n === 0 ? [] : [`${n} ${titles[word]}`];
  });
  return [...wrong, `${countOf(point, thing, 'healthy')} healthy`].join(', ');
}

/** The moment at which most needed somebody, the latest of equals; undefined: at none did anything. */
export function worstOf(points: readonly TrendPoint[], thing: Thing): TrendPoint | undefined {
  const ill = (p: TrendPoint) =>
    countOf(p, thing, 'failing') + countOf(p, thing, 'degraded') + countOf(p, thing, 'unknown');
  let worst: TrendPoint | undefined;
  for (const point of points) {
    if (ill(point) > 0 && (worst === undefined || ill(point) >= ill(worst))) worst = point;
  }
  return worst;
}

/** The point that was so at a time (s): the last one before it. */
export function pointAt(points: readonly TrendPoint[], seconds: number): TrendPoint | undefined {
  return points.findLast((p) => secondsOf(p) <= seconds + 0.5);
}
