import { QueryClient } from '@tanstack/react-query';
import { ApiError } from './error';

/** The answers that pages share. The feed says when one is old; whatever it cannot speak of is read again when a page opens. */
export const cache = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      refetchOnWindowFocus: false,
      // The feed reads everything again when the server is back.
      refetchOnReconnect: false,
      retry: (failures, error) =>
        failures < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 500),
      retryDelay: (attempt) => 300 * 2 ** attempt,
    },
  },
});
