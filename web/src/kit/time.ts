const units = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
] as const;

/** A span as people say it, in its two largest units: 3 d 4 h, 12 s. Milliseconds in. */
export function span(ms: number): string {
  let left = Math.max(0, Math.round(ms / 1000));
  const parts: string[] = [];
  for (const [unit, seconds] of units) {
    const n = Math.floor(left / seconds);
    if (n === 0 && parts.length === 0) continue;
    if (n > 0) parts.push(`${n} ${unit}`);
    left -= n * seconds;
    if (parts.length === 2 || unit === 'h') break;
  }
  return parts.length === 0 ? '0 s' : parts.join(' ');
}

/** How long ago (or until) a time is: 12 s ago, in 3 d. */
export function relative(at: number, now: number): string {
  const ms = now - at;
  if (Math.abs(ms) < 1000) return 'now';
  return ms > 0 ? `${span(ms)} ago` : `in ${span(-ms)}`;
}

/** A time in ms; undefined when the API left it out. */
export function parseTime(time: string | number | undefined): number | undefined {
  if (typeof time === 'number') return time;
  const at = Date.parse(time ?? '');
  return Number.isNaN(at) ? undefined : at;
}

/** One format: making one is what costs. */
const exactly = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });

/** The exact time, in the reader's zone, with the zone. */
export function exact(at: number): string {
  return exactly.format(at);
}

/** Whether the end of something that has one is far, near (within that many ms) or over. */
export function nearEnd(at: number, now: number, within: number): 'far' | 'near' | 'over' {
  if (at <= now) return 'over';
  return at - now <= within ? 'near' : 'far';
}

/** An agent's certificate ends soon (ms): they renew theirs, of a day, long before. */
export const agentCertificateSoon = 4 * 3_600_000;
