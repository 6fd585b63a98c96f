// What a policy's form means: its values as the spec of a manifest.

/** Datacenters by name or by label; neither is what the policy's kind says of neither. */
export interface WhereValue {
  by: 'names' | 'selector' | 'none';
  datacenters: string[];
  selector: string;
}

export const nowhere: WhereValue = { by: 'names', datacenters: [], selector: '' };

/** What stands in a spec for it: datacenters or selector, never both. */
export function whereSpec(value: WhereValue): { datacenters?: string[]; selector?: string } {
  if (value.by === 'none') return {};
  return value.by === 'names' ? { datacenters: value.datacenters } : { selector: value.selector.trim() };
}

/** A place that calls go to; what is empty is as the caller has it. */
export interface Target {
  service: string;
  datacenter: string;
  peer: string;
}

export const noTarget: Target = { service: '', datacenter: '', peer: '' };

export function targetSpec(t: Target): object {
  return {
    service: t.service.trim(),
    ...(t.peer.trim() === '' ? { datacenter: t.datacenter } : { peer: t.peer.trim() }),
  };
}

export interface ExportValues {
  service: string;
  from: WhereValue;
  to: WhereValue;
  peers: string[];
}

export const noExport: ExportValues = { service: '', from: nowhere, to: nowhere, peers: [] };

export function exportSpec(v: ExportValues): object {
  return { service: v.service.trim(), ...whereSpec(v.from), consumers: { ...whereSpec(v.to), peers: v.peers } };
}

export interface Source {
  service: string;
  from: WhereValue;
  peer: string;
  action: 'allow' | 'deny';
}

export interface IntentionValues {
  service: string;
  where: WhereValue;
  sources: Source[];
  /** May count for a federation as a whole. */
  wide: boolean;
}

export const noSource: Source = { service: '', from: { ...nowhere, by: 'none' }, peer: '', action: 'allow' };
export const noIntention: IntentionValues = { service: '', where: nowhere, sources: [noSource], wide: false };

export function intentionSpec(v: IntentionValues): object {
  return {
    destination: { service: v.service.trim(), ...whereSpec(v.where) },
    sources: v.sources.map((s) => ({
      service: s.service.trim(),
      ...(s.peer.trim() === '' ? whereSpec(s.from) : { peer: s.peer.trim() }),
      action: s.action,
    })),
    scope: scopeOf(v),
  };
}

export interface TrafficValues {
  service: string;
  callers: WhereValue;
  way: 'failover' | 'redirect' | 'split' | 'routes';
  steps: { to: WhereValue; sameLabel: string }[];
  redirect: Target;
  /** weight: percent; text while it is typed. */
  split: { weight: number | string; target: Target }[];
  routes: { prefix: string; target: Target }[];
  protocol: string;
  wide: boolean;
}

export const noTraffic: TrafficValues = {
  service: '',
  callers: nowhere,
  way: 'failover',
  steps: [{ to: nowhere, sameLabel: '' }],
  redirect: noTarget,
  split: [
    { weight: 90, target: noTarget },
    { weight: 10, target: noTarget },
  ],
  routes: [{ prefix: '/', target: noTarget }],
  protocol: 'http',
  wide: false,
};

/** What is not of the chosen way is left out, though it was typed. */
export function trafficSpec(v: TrafficValues): object {
  const http = v.way === 'split' || v.way === 'routes';
  return {
    service: v.service.trim(),
    ...whereSpec(v.callers),
    failover: v.way === 'failover' ? v.steps.map((s) => ({ ...whereSpec(s.to), sameLabel: s.sameLabel.trim() })) : [],
    redirect: v.way === 'redirect' ? targetSpec(v.redirect) : undefined,
    split: v.way === 'split' ? v.split.map((s) => ({ weight: Number(s.weight), target: targetSpec(s.target) })) : [],
    routes:
      v.way === 'routes'
        ? v.routes.map((r) => ({ match: { pathPrefix: r.prefix }, target: targetSpec(r.target) }))
        : [],
    protocol: http ? v.protocol : '',
    scope: scopeOf(v),
  };
}

/** All shares of a split together (percent). */
export function sumOf(split: TrafficValues['split']): number {
  return split.reduce((all, s) => all + Number(s.weight), 0);
}

function scopeOf({ wide }: { wide: boolean }): string {
  return wide ? 'federation' : '';
}
