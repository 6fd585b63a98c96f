import { QueryClient } from '@tanstack/react-query';
import { ApiError } from './error';

const retries = 2;
/** Pauses before a question is asked again (ms): the first one, twice as long each time, or as long as a busy server asks for, but no longer than this. */
const retryFirst = 300;
const retryMost = 30_000;

/** Whether a question that failed so often is asked again: not what the server refuses, but what it could not answer now. */
export function retry(failures: number, error: unknown): boolean {
  if (failures >= retries || !(error instanceof ApiError)) return false;
  return error.status === 0 || error.status === 429 || error.status >= 500;
}

/** How long to wait before that (ms); attempt counts from 0. */
export function retryDelay(attempt: number, error: unknown): number {
  const asked = error instanceof ApiError ? error.retryAfter * 1000 : 0;
  return Math.min(Math.max(asked, retryFirst * 2 ** attempt), retryMost);
}

/** The answers that pages share. The feed says when one is old; whatever it cannot speak of is read again when a page opens. */
export const cache = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      refetchOnWindowFocus: false,
      // The feed reads everything again when the server is back.
      refetchOnReconnect: false,
      retry,
      retryDelay,
    },
  },
});
