import { Center, Loader } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQueryClient } from '@tanstack/react-query';
import { type ReactNode, useCallback, useEffect, useState } from 'react';
import { setCsrfToken, tellsOfSession, whenUnauthenticated } from '../api/client';
import { ApiError } from '../api/error';
import { type FeedState, follow } from '../api/feed';
import { currentSession, logOut } from '../api/session';
import type { Session } from '../api/types';
import { FeedProvider, SessionProvider } from './context';
import { Login } from './Login';
import { SessionClock } from './SessionClock';
import { Shell } from './Shell';

type Who = { known: false; error: string } | { known: true; session: Session | undefined; notice: string };

/** Login or the page; whoever logs in sees the page that was asked for. */
export function Root({ children }: { children: ReactNode }) {
  const [who, setWho] = useState<Who>({ known: false, error: '' });
  const client = useQueryClient();

  const end = useCallback(
    (notice: string) => {
      setCsrfToken('');
      // Nothing of what was shown stays in memory for whoever sits down next.
      client.clear();
      notifications.clean();
      setWho({ known: true, session: undefined, notice });
    },
    [client],
  );

  const leave = useCallback(
    async (notice: string) => {
      try {
        await logOut();
        end(notice);
      } catch (cause) {
        // A session that has ended already has ended.
        const over = cause instanceof ApiError && cause.status === 401;
        end(over ? notice : 'The server could not be told: the session ends by itself when nobody uses it.');
      }
    },
    [end],
  );

  useEffect(() => {
    whenUnauthenticated(() => end('The session has ended. Log in again.'));
    let retry: ReturnType<typeof setTimeout> | undefined;
    const look = () => {
      currentSession().then(
        (session) => {
          // What somebody else was shown is not for this one.
          client.clear();
          setWho({ known: true, session, notice: '' });
        },
        (cause: unknown) => {
          setWho({ known: false, error: cause instanceof Error ? cause.message : String(cause) });
          retry = setTimeout(look, 1000);
        },
      );
    };
    look();
    // All tabs have one session: a login or logout in another one is this one's, too.
    const elsewhere = (event: StorageEvent) => {
      if (event.storageArea === localStorage && tellsOfSession(event.key)) look();
    };
    window.addEventListener('storage', elsewhere);
    return () => {
      clearTimeout(retry);
      window.removeEventListener('storage', elsewhere);
      whenUnauthenticated(() => undefined);
    };
  }, [end, client]);

  if (!who.known) {
    return (
      <Center h="100vh" role="status">
        {who.error === '' ? <Loader role="status" aria-label="Loading" /> : `Waiting for the server: ${who.error}`}
      </Center>
    );
  }
  if (who.session === undefined) {
    return <Login notice={who.notice} onLogin={(session) => setWho({ known: true, session, notice: '' })} />;
  }
  return (
    <SessionProvider value={who.session}>
      <LiveShell key={who.session.actor} onLogout={() => void leave('You are logged out.')}>
        {children}
      </LiveShell>
      <SessionClock
        session={who.session}
        onRenew={(session) => setWho({ known: true, session, notice: '' })}
        onEnd={(notice) => void leave(notice)}
        onLogout={() => void leave('You are logged out.')}
      />
    </SessionProvider>
  );
}

function isSame(a: FeedState, b: FeedState): boolean {
  return a.state === b.state && (a.state === 'live' || a.state === 'connecting');
}

function LiveShell({ children, onLogout }: { children: ReactNode; onLogout: () => void }) {
  const [feed, setFeed] = useState<FeedState>({ state: 'connecting' });
  const client = useQueryClient();
  useEffect(() => {
    // Each answer says that the page is live: what is told twice renders nothing.
    const following = follow(client, (next) => setFeed((old) => (isSame(old, next) ? old : next)));
    return () => following.stop();
  }, [client]);
  return (
    <FeedProvider value={feed}>
      <Shell onLogout={onLogout}>{children}</Shell>
    </FeedProvider>
  );
}
