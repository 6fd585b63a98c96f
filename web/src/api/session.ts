// Who is logged in. The session itself is in a cookie that scripts cannot read.

import { answer, api, setCsrfToken } from './client';
import { ApiError } from './error';
import type { Session } from './types';

// Set while somebody is logged in: a stranger's page need not ask, which browsers would log as an error.
const hint = 'isthmus-session';

/** The session of this browser; undefined: nobody is logged in. */
export async function currentSession(): Promise<Session | undefined> {
  if (localStorage.getItem(hint) === null) return undefined;
  try {
    return known(await answer(api.GET('/v1/session')));
  } catch (cause) {
    if (cause instanceof ApiError && cause.status === 401) {
      localStorage.removeItem(hint);
      return undefined;
    }
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
  localStorage.removeItem(hint);
  await answer(api.DELETE('/v1/session'));
  setCsrfToken('');
}

function known(session: Session): Session {
  setCsrfToken(session.csrfToken);
  localStorage.setItem(hint, '1');
  return session;
}

/** Operators declare what the fleet shall be; admins also say who may. */
export function mayOperate(session: Session): boolean {
  return session.role === 'operator' || session.role === 'admin';
}

export function mayAdminister(session: Session): boolean {
  return session.role === 'admin';
}
