// What a resource was over time, cut to the window that is looked at.

import type { HistorySpan } from '../api/types';
import { parseTime } from './time';
import { words } from './words';

export interface Stretch {
  state: string;
  /** ms. */
  start: number;
  end: number;
  /** It is so now. */
  current: boolean;
  span: HistorySpan;
}

/** The windows that can be looked at, in ms; 0 is everything that is known. */
export const windows: Readonly<Record<string, number>> = {
  '1 h': 3_600_000,
  '24 h': 86_400_000,
  '7 d': 7 * 86_400_000,
  '30 d': 30 * 86_400_000,
  all: 0,
};

/** The part of a history that is in the last window ms before now; 0: all of it. Spans that are not in it are left out. */
export function stretches(spans: readonly HistorySpan[], now: number, window: number): Stretch[] {
  const from = window === 0 ? -Infinity : now - window;
  return spans.flatMap((span) => {
    const start = parseTime(span.start);
    const end = parseTime(span.end);
    if (start === undefined) return [];
    const begin = Math.max(start, from);
    const stretch: Stretch = {
      state: span.state,
      start: begin,
      // What has just begun may be younger than now.
      end: end === undefined ? Math.max(begin, now) : Math.min(end, now),
      current: end === undefined,
      span,
    };
    return stretch.end > stretch.start || stretch.current ? [stretch] : [];
  });
}

/** How much of the time something was in each state, the largest first; shares are of 1. */
export function shares(parts: readonly Stretch[]): { state: string; share: number }[] {
  const total = parts.reduce((sum, p) => sum + p.end - p.start, 0);
  const by = new Map<string, number>();
  for (const p of parts) by.set(p.state, (by.get(p.state) ?? 0) + p.end - p.start);
  return [...by]
    .map(([state, ms]) => ({ state, share: total === 0 ? 1 / by.size : ms / total }))
    .sort((a, b) => b.share - a.share);
}

/** A share as a percentage that never says 100 % or 0 % of what is not. */
export function percent(share: number): string {
  const value = share * 100;
  if (value >= 99.95 && share < 1) return '> 99.9 %';
  if (value < 0.05 && share > 0) return '< 0.1 %';
  return `${Number.isInteger(value) ? value : value.toFixed(1)} %`;
}

// The words of datacenters and of members of federations, as verdicts.
const verdictOf = words<string>({
  online: 'healthy',
  offline: 'failing',
  joined: 'healthy',
  blocked: 'failing',
  leaving: 'deleting',
});
const others = new Set(['healthy', 'pending', 'stale', 'one-sided', 'failing', 'deleting', 'removing', 'unknown', '']);

/** The verdict that looks as a state of a history does. */
export function verdictLike(state: string): string {
  return verdictOf[state] ?? (others.has(state) ? state : 'pending');
}
