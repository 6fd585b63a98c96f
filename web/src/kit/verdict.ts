import {
  IconAlertTriangle,
  IconArrowsLeft,
  IconCircleCheck,
  IconCircleMinus,
  IconCircleX,
  IconClock,
  IconHelpCircle,
  IconProgress,
  IconTrash,
  type TablerIcon,
} from '@tabler/icons-react';
import { words } from './words';

export interface Look {
  /** A Mantine colour. Never the only sign: word and icon stand beside it. */
  color: string;
  icon: TablerIcon;
  /** How much it needs somebody: larger is worse. */
  weight: number;
}

const unknown: Look = { color: 'gray', icon: IconHelpCircle, weight: 3 };

const verdicts = words<Look>({
  healthy: { color: 'green', icon: IconCircleCheck, weight: 0 },
  pending: { color: 'blue', icon: IconProgress, weight: 1 },
  deleting: { color: 'gray', icon: IconTrash, weight: 1 },
  removing: { color: 'gray', icon: IconTrash, weight: 1 },
  unknown,
  stale: { color: 'orange', icon: IconClock, weight: 4 },
  'one-sided': { color: 'orange', icon: IconArrowsLeft, weight: 5 },
  failing: { color: 'red', icon: IconCircleX, weight: 6 },
});

/** How the verdict on a connection looks. */
export function verdictLook(verdict: string): Look {
  return verdicts[verdict] ?? unknown;
}

/** How a datacenter's health looks: the same words mean the same. */
export const healthLook = verdictLook;

const answers = words<Look>({
  pass: { color: 'green', icon: IconCircleCheck, weight: 0 },
  fail: { color: 'red', icon: IconCircleX, weight: 6 },
  warning: { color: 'orange', icon: IconAlertTriangle, weight: 4 },
  skip: { color: 'gray', icon: IconCircleMinus, weight: 0 },
  unknown,
});

/** How the answer of a check, a hop or a fact looks: pass, fail, unknown, skip. */
export function answerLook(verdict: string): Look {
  return answers[verdict] ?? unknown;
}

/** How words look that mean what verdicts mean; any other is unknown. */
function like(meanings: Readonly<Record<string, string>>): (word: string | undefined) => Look {
  const known = words(meanings);
  return (word = '') => verdictLook(known[word] ?? 'unknown');
}

/** How it looks whether an agent is heard of. */
export const livenessLook = like({ online: 'healthy', offline: 'failing' });

/** How something looks that is wanted in a Consul: an item of an agent's, or a policy in a datacenter. */
export const itemLook = like({
  applied: 'healthy',
  pending: 'pending',
  drifted: 'stale',
  conflict: 'one-sided',
  managed: 'one-sided',
  failed: 'failing',
  excluded: 'deleting',
});

/** How a WAN member's status in Serf looks. */
export const wanLook = like({ alive: 'healthy', failed: 'failing', left: 'deleting', leaving: 'deleting' });
