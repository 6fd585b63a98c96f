// Who is logged in. The session itself is in a cookie that scripts cannot read.

import { answer, api, csrfHeader, csrfToken, setCsrfToken } from './client';
import { ApiError } from './error';
import type { Session } from './types';

/** The session of this browser; undefined: nobody is logged in. A stranger's page does not ask, which browsers would log as an error. */
export async function currentSession(): Promise<Session | undefined> {
  if (csrfToken() === '') return undefined;
  try {
    return await answer(api.GET('/v1/session'));
  } catch (cause) {
    // 403: the token is another session's than the cookie.
    if (cause instanceof ApiError && (cause.status === 401 || cause.status === 403)) {
      setCsrfToken('');
      return undefined;
    }
    throw cause;
  }
}

/** Logs in with an API token. */
export async function logIn(token: string): Promise<Session> {
  const session = await answer(api.POST('/v1/session', { body: { token } }));
  setCsrfToken(session.csrfToken);
  return session;
}

/** Says that somebody is there. */
export async function renewSession(): Promise<Session> {
  return await answer(api.POST('/v1/session:renew', { body: {} }));
}

/** Logs out. Whether or not the server can be told: without the token, this browser's cookie opens nothing any more. */
export async function logOut(): Promise<void> {
  const token = csrfToken();
  setCsrfToken('');
  await answer(api.DELETE('/v1/session', { headers: { [csrfHeader]: token } }));
}

/** Operators declare what the fleet shall be; admins also say who may. */
export function mayOperate(session: Session): boolean {
  return session.role === 'operator' || session.role === 'admin';
}

export function mayAdminister(session: Session): boolean {
  return session.role === 'admin';
}
