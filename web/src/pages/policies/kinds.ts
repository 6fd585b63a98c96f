import type { Intention, ServiceExport, TrafficPolicy } from '../../api/types';
import { type Look, verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';

export const policyKinds = ['ServiceExport', 'Intention', 'TrafficPolicy'] as const;
export type PolicyKind = (typeof policyKinds)[number];
export type Policy = ServiceExport | Intention | TrafficPolicy;

export const titles: Record<PolicyKind, string> = {
  ServiceExport: 'Exports',
  Intention: 'Intentions',
  TrafficPolicy: 'Traffic policies',
};

/** A kind as it stands in an address; undefined: it is none of a policy. */
export function policyKind(text: string | undefined): PolicyKind | undefined {
  return policyKinds.find((k) => k === text);
}

interface State {
  state: string;
  look: Look;
  hint: string;
}

/** What a policy's condition Ready says. */
export function stateOf(policy: Policy): State {
  if (policy.deleteTime !== undefined) {
    return { state: 'deleting', look: verdictLook('deleting'), hint: 'What it added is being taken out.' };
  }
  const ready = policy.status?.conditions.find((c) => c.type === 'Ready');
  const hint = ready === undefined ? 'Nobody has looked at it yet.' : `${ready.reason}: ${ready.message}`;
  if (ready?.status === 'true') return { state: 'applied', look: verdictLook('healthy'), hint };
  if (ready?.status === 'false') return { state: 'not applied', look: verdictLook('failing'), hint };
  return { state: 'unknown', look: verdictLook('unknown'), hint };
}

const placements = words<string>({
  applied: 'healthy',
  pending: 'pending',
  drifted: 'stale',
  conflict: 'one-sided',
  managed: 'one-sided',
  failed: 'failing',
  excluded: 'deleting',
});

/** How a policy stands in one datacenter. */
export function placementLook(state: string): Look {
  return verdictLook(placements[state] ?? 'unknown');
}

/** Where, as a policy says it: names, or a selector. */
export function where(place: { datacenters: string[]; selector: string } | undefined): string {
  if (place === undefined) return '';
  return place.selector === '' ? place.datacenters.join(', ') : place.selector;
}
