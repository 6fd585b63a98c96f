import type { Datacenter, DatacenterState } from '../../api/types';

/** When a part of what is known of a datacenter was true last, if the agent that told it is silent; undefined: it is so now, or was never told. */
export function lastSeen(state: DatacenterState | undefined, part: string): string | undefined {
  const report = state?.reports.find((r) => r.part === part);
  const teller = state?.agents.find((a) => a.agent?.name === report?.agent);
  return teller?.agent?.status?.liveness === 'online' ? undefined : report?.heardTime;
}

/** The same of its status, of which its leading agent tells. */
export function statusLastSeen(datacenter: Datacenter, state: DatacenterState | undefined): string | undefined {
  return datacenter.status?.agent === 'online' ? undefined : lastSeen(state, 'inventory');
}
