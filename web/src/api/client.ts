// The one way to the server: the public REST API, typed by its own OpenAPI document.

import createClient, { type Middleware } from 'openapi-fetch';
import { sawServerTime } from './clock';
import { ApiError } from './error';
import type { paths } from './schema.gen';
import type { Answer } from './types';

/** Where a request carries what its session's login was given. */
export const csrfHeader = 'X-Isthmus-CSRF';
// All tabs have one cookie, therefore one token. Storage is the origin's, port included, which cookies are not: the server takes neither alone.
const stored = 'isthmus-csrf';
let onUnauthenticated: () => void = () => undefined;

/** The token of the session of this browser; empty: nobody is logged in. */
export function csrfToken(): string {
  return localStorage.getItem(stored) ?? '';
}

/** Called when a session begins or ends (empty). */
export function setCsrfToken(token: string): void {
  if (token === '') localStorage.removeItem(stored);
  else localStorage.setItem(stored, token);
}

/** Whether a change of the storage's key means that a session began or ended; null: all of it was emptied. */
export function tellsOfSession(key: string | null): boolean {
  return key === null || key === stored;
}

/** Says what to do when the server no longer knows the session. */
export function whenUnauthenticated(then: () => void): void {
  onUnauthenticated = then;
}

const middleware: Middleware = {
  onRequest({ request }) {
    if (!request.headers.has(csrfHeader)) request.headers.set(csrfHeader, csrfToken());
    return request;
  },
  onResponse({ response, schemaPath }) {
    sawServerTime(response.headers.get('Date'));
    if (response.status === 401 && schemaPath !== '/v1/session') onUnauthenticated();
  },
};

export const api = createClient<paths>({ baseUrl: window.location.origin, credentials: 'same-origin' });
api.use(middleware);

interface Result<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of a successful answer; anything else is an ApiError. */
export async function answer<T>(call: Promise<Result<T>>): Promise<Answer<T>> {
  let result: Result<T>;
  try {
    result = await call;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw ApiError.unreachable(cause);
  }
  if (!result.response.ok) throw ApiError.of(result.response, result.error);
  return result.data as Answer<T>;
}
