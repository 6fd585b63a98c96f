// What a resource's condition Ready says, for those that have one.

import type { Condition } from '../api/types';
import { type Look, verdictLook } from './verdict';

/** A state with the words and looks of a badge. */
export interface State {
  state: string;
  look: Look;
  hint: string;
}

interface Conditioned {
  deleteTime?: string | undefined;
  status?: { conditions: Condition[] } | undefined;
}

interface Words {
  ready: string;
  notReady: string;
  /** What its deletion waits for, or does. */
  deleting: string;
}

/** The condition Ready of a resource, if anybody has looked at it yet. */
export function readyOf({ status }: Conditioned): Condition | undefined {
  return status?.conditions.find((c) => c.type === 'Ready');
}

/** Whether a resource is as it should be, in the kind's own words, with the reason. */
export function readyState(of: Conditioned, words: Words): State {
  if (of.deleteTime !== undefined) {
    return { state: 'deleting', look: verdictLook('deleting'), hint: words.deleting };
  }
  const ready = readyOf(of);
  const hint = ready === undefined ? 'Nobody has looked at it yet.' : `${ready.reason}: ${ready.message}`;
  if (ready?.status === 'true') return { state: words.ready, look: verdictLook('healthy'), hint };
  if (ready?.status === 'false') return { state: words.notReady, look: verdictLook('failing'), hint };
  return { state: 'unknown', look: verdictLook('unknown'), hint };
}
