// Who is logged in. The session itself is in a cookie that scripts cannot read.

import { answer, api, setCsrfToken } from './client';
import { ApiError } from './error';
import type { Session } from './types';

/** The session of this browser; undefined: nobody is logged in. */
export async function currentSession(): Promise<Session | undefined> {
  try {
    return known(await answer(api.GET('/v1/session')));
  } catch (cause) {
    if (cause instanceof ApiError && cause.status === 401) return undefined;
    throw cause;
  }
}

/** Logs in with an API token. */
export async function logIn(token: string): Promise<Session> {
  return known(await answer(api.POST('/v1/session', { body: { token } })));
}

/** Says that somebody is there. */
export async function renewSession(): Promise<Session> {
  return known(await answer(api.POST('/v1/session:renew', { body: {} })));
}

export async function logOut(): Promise<void> {
  await answer(api.DELETE('/v1/session'));
  setCsrfToken('');
}

function known(session: Session): Session {
  setCsrfToken(session.csrfToken);
  return session;
}

/** Operators declare what the fleet shall be; admins also say who may. */
export function mayOperate(session: Session): boolean {
  return session.role === 'operator' || session.role === 'admin';
}

export function mayAdminister(session: Session): boolean {
  return session.role === 'admin';
}
