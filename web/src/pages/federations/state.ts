import type { Federation } from '../../api/types';
import { type Look, verdictLook } from '../../kit/verdict';

interface State {
  state: string;
  look: Look;
  hint: string;
}

/** What a federation's condition Ready says: ready, waiting or not known, with the reason. */
export function stateOf(federation: Federation): State {
  if (federation.deleteTime !== undefined) {
    return { state: 'deleting', look: verdictLook('deleting'), hint: 'Its secondaries leave first.' };
  }
  const ready = federation.status?.conditions.find((c) => c.type === 'Ready');
  const hint = ready === undefined ? 'Nobody has looked at it yet.' : `${ready.reason}: ${ready.message}`;
  if (ready?.status === 'true') return { state: 'ready', look: verdictLook('healthy'), hint };
  if (ready?.status === 'false') return { state: 'not ready', look: verdictLook('failing'), hint };
  return { state: 'unknown', look: verdictLook('unknown'), hint };
}

const phases: Record<string, string> = { joined: 'healthy', blocked: 'failing', leaving: 'deleting', left: 'deleting' };

/** How a member's phase looks. */
export function phaseLook(phase: string): Look {
  return verdictLook(phases[phase] ?? 'pending');
}
