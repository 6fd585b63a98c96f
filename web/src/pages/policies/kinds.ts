import type { Intention, ServiceExport, TrafficPolicy } from '../../api/types';
import { readyState, type State } from '../../kit/condition';

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

/** What a policy's condition Ready says. */
export function stateOf(policy: Policy): State {
  return readyState(policy, {
    ready: 'applied',
    notReady: 'not applied',
    deleting: 'What it added is being taken out.',
  });
}

/** Where, as a policy says it: names, or a selector. */
export function where(place: { datacenters: string[]; selector: string } | undefined): string {
  if (place === undefined) return '';
  return place.selector === '' ? place.datacenters.join(', ') : place.selector;
}
