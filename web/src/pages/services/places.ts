import type { FleetService } from '../../api/types';
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

/** service@datacenter, as explain takes it. */
export function address(service: FleetService, datacenter: string): string {
  const name = service.namespace === '' ? service.name : `${service.namespace}/${service.name}`;
  return `${name}@${datacenter}`;
}
