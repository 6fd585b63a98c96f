import { Button, Group, Modal, Text } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { serverTime } from '../api/clock';
import { currentSession, renewSession } from '../api/session';
import type { Session } from '../api/types';
import { ErrorNote } from '../kit/ErrorNote';

/** A session is renewed at most this often while somebody uses the page (ms). */
const renewEvery = 60_000;
/** How long before its end somebody is asked whether they are still there (ms). */
const warnBefore = 60_000;

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
  // The end that no renewal moves.
  const last = session.expireTime === session.endTime;
  const [closed, setClosed] = useState(false);
  const [failure, setFailure] = useState<unknown>();
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

  useEffect(() => {
    const end = Date.parse(session.expireTime ?? '');
    if (Number.isNaN(end)) return undefined;
    let asking = false;
    // Somebody may be at work in another tab, which has the same session.
    const ask = async (ended: () => void) => {
      if (asking) return;
      asking = true;
      try {
        const now = await currentSession();
        if (now === undefined) onEnd(last ? over : unused);
        else if (Date.parse(now.expireTime ?? '') > end) onRenew(now);
        else ended();
      } catch {
        // The server does not answer: the page says so, and the session ends by itself.
        ended();
      } finally {
        asking = false;
      }
    };
    // Timers stand still while a machine sleeps: what the clock says counts.
    const look = setInterval(() => {
      const left = end - serverTime(Date.now());
      if (left <= 0) void ask(() => onEnd(last ? over : unused));
      else if (left <= warnBefore && !warning) void ask(() => setWarned(session.expireTime ?? ''));
    }, 1000);
    return () => clearInterval(look);
  }, [session, last, onEnd, onRenew, warning]);

  if (last) {
    return (
      <Modal opened={warning && !closed} onClose={() => setClosed(true)} title="This login ends" centered>
        <Text>It ends within a minute, whatever is done: finish what you are at, and log in again.</Text>
      </Modal>
    );
  }
  return (
    <Modal opened={warning} onClose={() => undefined} withCloseButton={false} title="Are you still there?" centered>
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
