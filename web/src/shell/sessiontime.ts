// When a session is warned of, and when it is over. Pure.

import type { Session } from '../api/types';

/** How long before its end somebody is asked whether they are still there (ms). */
export const warnBefore = 60_000;

/** What there is to do about a session now: nothing, warn of its end, or end it. */
export type Due = 'nothing' | 'warn' | 'end';

/** warned is the end (expireTime) that was warned of; now is the server's time (ms). */
export function dueOf(session: Session, now: number, warned: string): Due {
  const left = endOf(session) - now;
  if (Number.isNaN(left)) return 'nothing';
  if (left <= 0) return 'end';
  return left <= warnBefore && warned !== session.expireTime ? 'warn' : 'nothing';
}

/** What the server says of a session of which something is due: another tab may have renewed or ended it. */
export type Told = 'renewed' | 'ended' | 'as it was';

export function toldOf(session: Session, now: Session | undefined): Told {
  if (now === undefined) return 'ended';
  return endOf(now) > endOf(session) ? 'renewed' : 'as it was';
}

/** The session ends then whatever is done: after twelve hours, or with its API token. */
export function isLast(session: Session): boolean {
  return session.expireTime === session.endTime;
}

function endOf(session: Session): number {
  return Date.parse(session.expireTime ?? '');
}
