import type { Intention, ServiceExport, TrafficPolicy } from '../../api/types';
import { type Policy, where } from './kinds';

/** What a policy does, in one line. */
export function does(policy: Policy): string {
  const spec = policy.spec;
  if (spec === undefined) return '';
  if ('consumers' in spec) return exported(spec);
  if ('destination' in spec) return decided(spec);
  return sent(spec);
}

function exported(spec: NonNullable<ServiceExport['spec']>): string {
  const to = [where(spec.consumers), spec.consumers?.peers.join(', ') ?? ''].filter((t) => t !== '');
  return `to ${to.join(', ')}`;
}

function decided(spec: NonNullable<Intention['spec']>): string {
  return spec.sources
    .map((s) => {
      const from = [s.peer, where(s)].find((t) => t !== '');
      const who = `${s.service}${from === undefined ? '' : ` (${from})`}`;
      return `${s.permissions.length > 0 ? 'HTTP rules for' : s.action} ${who}`;
    })
    .join('; ');
}

function sent(spec: NonNullable<TrafficPolicy['spec']>): string {
  const parts: string[] = [];
  if (spec.failover.length > 0)
    parts.push(
      `fails over to ${spec.failover.map((s) => s.peers.concat(where(s)).filter(Boolean).join(', ')).join(', then ')}`,
    );
  if (spec.redirect !== undefined) parts.push(`redirects to ${target(spec.redirect)}`);
  if (spec.split.length > 0)
    parts.push(`splits: ${spec.split.map((s) => `${s.weight} % ${target(s.target)}`).join(', ')}`);
  if (spec.routes.length > 0) parts.push(`${spec.routes.length} ${spec.routes.length === 1 ? 'route' : 'routes'}`);
  return parts.join('; ');
}

/** A place that calls go to: service@place, or what is the same as the caller's. */
export function target(t: { service: string; datacenter: string; peer: string } | undefined): string {
  if (t === undefined) return 'as before';
  const place = t.datacenter || (t.peer === '' ? '' : `peer ${t.peer}`);
  const service = t.service || 'the same service';
  return place === '' ? service : `${service} in ${place}`;
}
