import { useSyncExternalStore } from 'react';
import { serverTime } from '../api/clock';
import { exact, parseTime, relative } from './time';

// One timer for all times on a page.
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let now = Date.now();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    // Nobody listened, so the clock stood still.
    now = Date.now();
    timer = setInterval(() => {
      now = Date.now();
      for (const l of listeners) l();
    }, 1000);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The browser's own time (ms), each second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** A time as how long ago it is; the exact one on hover. none stands for a time that is not set. */
export function Ago({ time, none = '–' }: { time: string | number | undefined; none?: string }) {
  const at = parseTime(time);
  return at === undefined ? <>{none}</> : <Time at={at} nowAt={serverTime} />;
}

/** How long ago something happened in this browser, by its own clock (ms). */
export function BrowserAgo({ at }: { at: number }) {
  // The second of now is behind what has just happened.
  return <Time at={at} nowAt={(now) => Math.max(at, now)} />;
}

function Time({ at, nowAt }: { at: number; nowAt: (now: number) => number }) {
  // Rendered again only when it says something else.
  const said = useSyncExternalStore(subscribe, () => relative(at, nowAt(now)));
  return (
    <time dateTime={new Date(at).toISOString()} title={exact(at)} className="num">
      {said}
    </time>
  );
}
