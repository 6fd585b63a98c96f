import { Button, Group, Modal, Text } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { serverTime } from '../api/clock';
import { currentSession, renewSession } from '../api/session';
import type { Session } from '../api/types';
import { ErrorNote } from '../kit/ErrorNote';
import { dueOf, isLast, toldOf } from './sessiontime';

/** A session is renewed at most this often while somebody uses the page (ms). */
const renewEvery = 60_000;

interface Props {
  session: Session;
  onRenew: (session: Session) => void;
  /** The session is over; why, for whoever comes back. */
  onEnd: (notice: string) => void;
  onLogout: () => void;
}

const unused = 'You were logged out because nobody used the dashboard for a while.';
const over = 'The login is over: it lasts twelve hours at most, and no longer than its API token. Log in again.';

/** Renews the session while somebody uses the page, asks before it ends, and ends it. */
export function SessionClock({ session, onRenew, onEnd, onLogout }: Props) {
  // The end of the session that is warned of: a renewed one has another.
  const [warned, setWarned] = useState('');
  const warning = warned !== '' && warned === session.expireTime;
  const [closed, setClosed] = useState(false);
  useRenewal(session, onRenew, warning);
  useEnd(session, warned, setWarned, onRenew, onEnd);
  if (isLast(session)) {
    return (
      <Modal opened={warning && !closed} onClose={() => setClosed(true)} title="This login ends" centered>
        <Text>It ends within a minute, whatever is done: finish what you are at, and log in again.</Text>
      </Modal>
    );
  }
  return <StillThere opened={warning} onRenew={onRenew} onLogout={onLogout} />;
}

/** Renews the session while somebody uses the page; once it was warned of, whoever is there says so. */
function useRenewal(session: Session, onRenew: Props['onRenew'], warning: boolean): void {
  const renewed = useRef(0);
  useEffect(() => {
    renewed.current = Date.now();
  }, [session]);
  useEffect(() => {
    const used = () => {
      if (warning || Date.now() - renewed.current < renewEvery) return;
      renewed.current = Date.now();
      renewSession().then(onRenew, () => undefined);
    };
    const signs = ['pointerdown', 'keydown', 'wheel'] as const;
    for (const sign of signs) window.addEventListener(sign, used, { passive: true });
    return () => {
      for (const sign of signs) window.removeEventListener(sign, used);
    };
  }, [onRenew, warning]);
}

/** Warns of the session's end, and ends it. */
function useEnd(
  session: Session,
  warned: string,
  onWarn: (end: string) => void,
  onRenew: Props['onRenew'],
  onEnd: Props['onEnd'],
): void {
  useEffect(() => {
    const end = () => onEnd(isLast(session) ? over : unused);
    let asking = false;
    // Somebody may be at work in another tab, which has the same session.
    const ask = async (asItWas: () => void) => {
      if (asking) return;
      asking = true;
      try {
        const now = await currentSession();
        const told = toldOf(session, now);
        if (told === 'ended') end();
        else if (told === 'renewed' && now !== undefined) onRenew(now);
        else asItWas();
      } catch {
        // The server does not answer: the page says so, and the session ends by itself.
        asItWas();
      } finally {
        asking = false;
      }
    };
    // Timers stand still while a machine sleeps: what the clock says counts.
    const look = setInterval(() => {
      const due = dueOf(session, serverTime(Date.now()), warned);
      if (due === 'end') void ask(end);
      else if (due === 'warn') void ask(() => onWarn(session.expireTime ?? ''));
    }, 1000);
    return () => clearInterval(look);
  }, [session, warned, onWarn, onRenew, onEnd]);
}

function StillThere({ opened, onRenew, onLogout }: Pick<Props, 'onRenew' | 'onLogout'> & { opened: boolean }) {
  const [failure, setFailure] = useState<unknown>();
  return (
    <Modal opened={opened} onClose={() => undefined} withCloseButton={false} title="Are you still there?" centered>
      <Text mb="md">The session ends within a minute, since nobody has used the dashboard for a while.</Text>
      {failure !== undefined && <ErrorNote error={failure} />}
      <Group justify="flex-end" mt="md">
        <Button variant="default" onClick={onLogout}>
          Log out
        </Button>
        <Button
          data-autofocus
          onClick={() => {
            // A session that the server does not know any more ends by itself: see client.ts.
            renewSession().then(onRenew, setFailure);
          }}
        >
          Stay logged in
        </Button>
      </Group>
    </Modal>
  );
}
