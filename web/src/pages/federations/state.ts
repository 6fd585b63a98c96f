import type { Federation, FederationMember, MergedMember } from '../../api/types';
import { readyState, type State } from '../../kit/condition';
import { verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';

/** What a federation's condition Ready says: ready, waiting or not known, with the reason. */
export function stateOf(federation: Federation): State {
  return readyState(federation, { ready: 'ready', notReady: 'not ready', deleting: 'Its secondaries leave first.' });
}

/** How servers reach each other, in words. */
export function modeOf({ spec }: Pick<Federation, 'spec'>): string {
  return spec?.mode === 'traditional' ? 'directly' : 'through mesh gateways';
}

/** Tells whether a datacenter is in it, or shall be; an empty one is all. */
export function touches({ spec, status }: Federation, datacenter: string): boolean {
  return (
    datacenter === '' ||
    spec?.primary === datacenter ||
    spec?.secondaries.includes(datacenter) === true ||
    status?.members.some((m) => m.datacenter === datacenter) === true
  );
}

const phases = words<string>({ joined: 'healthy', blocked: 'failing', leaving: 'deleting', left: 'deleting' });

/** How far a member is. One that was in and is read no more is broken, not on its way. */
export function memberState(member: FederationMember): State {
  const { phase, wasJoined, readsPrimary, readByPrimary, reason, message } = member;
  const hint = [reason, message].filter((t) => t !== '').join(': ');
  if (wasJoined === true && phases[phase] === undefined) {
    const oneWay = (readsPrimary === 'ok') !== (readByPrimary === 'ok');
    return { state: `broken (${phase})`, look: verdictLook(oneWay ? 'one-sided' : 'failing'), hint };
  }
  return {
    state: phase || 'unknown',
    look: verdictLook(phase === '' ? 'unknown' : (phases[phase] ?? 'pending')),
    hint,
  };
}

/** Who of so many datacenters sees a server, by what they see; more than one part is a disagreement. */
export function seenBy({ views }: Pick<MergedMember, 'views'>, datacenters: number): string {
  const [only] = views;
  if (views.length === 1 && only?.datacenters.length === datacenters) return 'all';
  return views.map((v) => `${v.status} by ${v.datacenters.join(', ')}`).join('; ');
}
