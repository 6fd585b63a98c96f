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
  const seconds = useNow();
  const at = parseTime(time);
  if (at === undefined) return <>{none}</>;
  return (
    <time dateTime={new Date(at).toISOString()} title={exact(at)} className="num">
      {relative(at, serverTime(seconds))}
    </time>
  );
}

/** How long ago something happened in this browser, by its own clock (ms). */
export function BrowserAgo({ at }: { at: number }) {
  const now = useNow();
  return (
    <time dateTime={new Date(at).toISOString()} title={exact(at)} className="num">
      {/* The second of now is behind what has just happened. */}
      {relative(at, Math.max(at, now))}
    </time>
  );
}
