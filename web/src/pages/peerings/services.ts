// Which services go over a peering, as both ends show them.

import type { CatalogService, FleetService } from '../../api/types';
import type { End } from './peering';

/** What one end's catalog has from the peer. */
export function importedOf(catalog: readonly CatalogService[], here: End): CatalogService[] {
  return catalog.filter((s) => s.peer !== '' && s.peer === here.peerName);
}

export interface Exported {
  name: string;
  instances: number;
  healthy: number;
  /** The other end shows it. unknown: nobody says what the other end shows. */
  arrives: 'yes' | 'no' | 'unknown';
}

/** What one end exports to the other: what is declared, and what the other end has got. arrived is the other end's catalog, as far as it is known. */
export function exportedOf(
  found: readonly FleetService[],
  here: End,
  there: End,
  arrived: readonly CatalogService[] | undefined,
): Exported[] {
  const got = arrived === undefined ? undefined : new Set(importedOf(arrived, there).map((s) => s.name));
  return found.flatMap((service) => {
    const own = service.places.find((p) => p.datacenter === here.name && p.peer === '');
    const wanted = own?.exportedTo.includes(there.name) === true;
    const arrives = got?.has(service.name) === true;
    if (own === undefined || (!wanted && !arrives)) return [];
    return [
      {
        name: service.name,
        instances: own.instances,
        healthy: own.healthy,
        arrives: got === undefined ? 'unknown' : arrives ? 'yes' : 'no',
      },
    ];
  });
}
