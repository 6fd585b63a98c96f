// What the overview says of connections, in words.

import type { FleetLink } from '../../api/types';

/** The kind of resource that a link is of: Peering or Federation. */
export function kindName(kind: string): string {
  return kind.charAt(0).toUpperCase() + kind.slice(1);
}

/** The same, as short as a table needs it. */
export function brokenMark({ a, b, broken }: Pick<FleetLink, 'a' | 'b' | 'broken'>): string {
  switch (broken) {
    case 'a-to-b':
      return `${a} → ${b}`;
    case 'b-to-a':
      return `${b} → ${a}`;
    case 'both':
      return 'both ways';
  }
  return '';
}

/** In which direction nothing arrives. */
export function brokenWords({ a, b, broken }: Pick<FleetLink, 'a' | 'b' | 'broken'>): string {
  switch (broken) {
    case 'a-to-b':
      return `Nothing from ${a} arrives at ${b}.`;
    case 'b-to-a':
      return `Nothing from ${b} arrives at ${a}.`;
    case 'both':
      return 'Nothing arrives in either direction.';
  }
  return '';
}
