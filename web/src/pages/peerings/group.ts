// What pages about peering groups work out of one.

import type { PeeringGroup } from '../../api/types';
import { readyOf } from '../../kit/condition';

/** How a group is, in the words of verdicts. */
export function groupVerdict(g: PeeringGroup): string {
  if (g.deleteTime !== undefined) return 'deleting';
  const ready = readyOf(g);
  switch (ready?.status) {
    case 'true':
      return 'healthy';
    case 'false':
      return ready.reason === 'Changing' ? 'pending' : 'failing';
  }
  return 'unknown';
}

/** Who belongs to it: a selector, or names. */
export function membersText(g: PeeringGroup): string {
  return g.spec?.selector || (g.spec?.datacenters ?? []).join(', ');
}

/** How many of its peerings one change may delete without force. */
export function limitText(g: PeeringGroup): string {
  const limit = g.spec?.maxDeletions;
  return limit === undefined ? 'a quarter' : String(limit);
}

/** It waits for somebody to allow more deletions than its limit. */
export function limitReached(g: PeeringGroup): boolean {
  return readyOf(g)?.reason === 'DeletionLimit';
}

/** How many peerings a shape makes of so many members, of which some are hubs. */
export function pairs(shape: string, members: number, hubs: number): number {
  if (members === 0) return 0;
  if (shape === 'hub-and-spoke') return hubs * (members - hubs) + (hubs * (hubs - 1)) / 2;
  return (members * (members - 1)) / 2;
}
