import type { FleetService, ServicePlace } from '../../api/types';
import { type Look, verdictLook } from '../../kit/verdict';

interface Health {
  state: string;
  look: Look;
  hint?: string;
}

/** How a service is, over all datacenters that it runs in. */
export function healthOf(service: FleetService): Health {
  const own = service.places.filter((p) => p.peer === '');
  if (own.length === 0)
    return { state: 'imported', look: verdictLook('pending'), hint: 'It runs in a cluster that is not of the fleet.' };
  const old = own.filter((p) => !p.current);
  if (old.length > 0) {
    const names = old.map((p) => p.datacenter).join(', ');
    return {
      state: 'unknown',
      look: verdictLook('unknown'),
      hint: `Nothing is heard of ${names}: nobody knows whether this is still so.`,
    };
  }
  if (service.healthy === service.instances) return { state: 'healthy', look: verdictLook('healthy') };
  if (service.healthy === 0)
    return { state: 'failing', look: verdictLook('failing'), hint: 'No instance passes its checks.' };
  return {
    state: 'degraded',
    look: verdictLook('stale'),
    hint: `${service.instances - service.healthy} instances fail their checks.`,
  };
}

/** How a service is in one place. */
export function placeHealth(place: ServicePlace): Health {
  if (place.current !== true)
    return {
      state: 'unknown',
      look: verdictLook('unknown'),
      hint: `Nothing is heard of ${place.datacenter}: nobody knows whether it is still so.`,
    };
  if (place.healthy === place.instances) return { state: 'healthy', look: verdictLook('healthy') };
  if (place.healthy === 0) return { state: 'failing', look: verdictLook('failing') };
  return { state: 'degraded', look: verdictLook('stale') };
}

/** What a service is called: unique over the fleet's namespaces. */
export function keyOf(service: FleetService): string {
  return service.namespace === '' ? service.name : `${service.namespace}/${service.name}`;
}

/** service@datacenter, as explain takes it. */
export function address(service: FleetService, datacenter: string): string {
  return `${keyOf(service)}@${datacenter}`;
}

/** The page of services, searched for a name; key, as keyOf makes it, chooses the one of them whose places are shown. */
export function servicePath(name: string, key?: string): string {
  return `/services?${new URLSearchParams({ name, ...(key !== undefined && { service: key }) }).toString()}`;
}
