import { createContext, useContext } from 'react';
import type { FeedState } from '../api/feed';
import type { Session } from '../api/types';
import { mayAdminister, mayOperate } from '../api/session';

const SessionContext = createContext<Session | undefined>(undefined);
export const SessionProvider = SessionContext.Provider;

/** Who is logged in, and what they may do. Buttons that somebody may not use are not there. */
export function useSession(): { session: Session; mayOperate: boolean; mayAdminister: boolean } {
  const session = useContext(SessionContext);
  if (session === undefined) throw new Error('useSession is for pages that need a login');
  return { session, mayOperate: mayOperate(session), mayAdminister: mayAdminister(session) };
}

const FeedContext = createContext<FeedState>({ state: 'connecting' });
export const FeedProvider = FeedContext.Provider;

/** Whether what is shown is what the server has now. */
export function useFeed(): FeedState {
  return useContext(FeedContext);
}
