// What somebody fills in for a peering or a group, and the manifest that it makes. Rules are the server's: nothing is checked here.

import type { Manifest } from '../../api/manifest';
import type { Peering, PeeringGroup } from '../../api/types';
import { labelTexts, parseLabels } from '../../kit/labels';
import { limitText } from './group';
import { endsOf } from './peering';

export const kinds = ['peering', 'group', 'external'] as const;
export type What = (typeof kinds)[number];

/** All of it is text, so that it can stand in the address. */
export interface Draft {
  what: What;
  name: string;
  /** Datacenters; of an external peering, the end that external names is another operator's cluster. */
  acceptor: string;
  dialer: string;
  external: 'acceptor' | 'dialer';
  acceptorPeerName: string;
  dialerPeerName: string;
  /** yes, no, or empty: as it is. */
  gateways: string;
  addresses: string[];
  /** Empty: the default. */
  heal: string;
  /** key=value. */
  labels: string[];
  members: 'selector' | 'names';
  selector: string;
  datacenters: string[];
  shape: 'full-mesh' | 'hub-and-spoke';
  hub: string;
  /** How many peerings one change may delete; empty: a quarter. */
  limit: string;
}

export const emptyDraft: Draft = {
  what: 'peering',
  name: '',
  acceptor: '',
  dialer: '',
  external: 'dialer',
  acceptorPeerName: '',
  dialerPeerName: '',
  gateways: '',
  addresses: [],
  heal: '',
  labels: [],
  members: 'selector',
  selector: '',
  datacenters: [],
  shape: 'full-mesh',
  hub: '',
  limit: '',
};

/** The name that it gets when nobody gives it one. */
export function defaultName(d: Draft): string {
  if (d.what === 'group') return '';
  return [d.acceptor, d.dialer].filter((n) => n !== '').join('-');
}

export function manifestOfDraft(d: Draft): Manifest {
  const name = d.name.trim() || defaultName(d);
  return d.what === 'group'
    ? { kind: 'PeeringGroup', name, labels: parseLabels(d.labels), spec: groupSpec(d) }
    : { kind: 'Peering', name, labels: parseLabels(d.labels), spec: peeringSpec(d) };
}

function peeringSpec(d: Draft): object {
  const outside = d.what === 'external' ? d.external : '';
  return {
    [outside === 'acceptor' ? 'externalAcceptor' : 'acceptor']: d.acceptor,
    [outside === 'dialer' ? 'externalDialer' : 'dialer']: d.dialer,
    acceptorPeerName: d.acceptorPeerName,
    dialerPeerName: d.dialerPeerName,
    throughGateways: through(d.gateways),
    serverExternalAddresses: d.addresses,
    heal: d.heal,
  };
}

function groupSpec(d: Draft): object {
  return {
    ...(d.members === 'selector' ? { selector: d.selector } : { datacenters: d.datacenters }),
    shape: d.shape,
    hub: d.shape === 'hub-and-spoke' ? d.hub : '',
    throughGateways: through(d.gateways),
    // What is no number goes to the server as it is, which says so.
    maxDeletions: d.limit === '' ? undefined : Number.isNaN(Number(d.limit)) ? d.limit : Number(d.limit),
    heal: d.heal,
  };
}

function through(gateways: string): boolean | undefined {
  return gateways === '' ? undefined : gateways === 'yes';
}

function gatewaysText(throughGateways: boolean | undefined): string {
  if (throughGateways === undefined) return '';
  return throughGateways ? 'yes' : 'no';
}

/** A peering that exists, to be edited. */
export function draftOfPeering(p: Peering): Draft {
  const [acceptor, dialer] = endsOf(p);
  const external = acceptor.external || dialer.external;
  return {
    ...emptyDraft,
    what: external ? 'external' : 'peering',
    external: acceptor.external ? 'acceptor' : 'dialer',
    name: p.name,
    acceptor: acceptor.name,
    dialer: dialer.name,
    acceptorPeerName: acceptor.peerName,
    dialerPeerName: dialer.peerName,
    gateways: gatewaysText(p.spec?.throughGateways),
    addresses: p.spec?.serverExternalAddresses ?? [],
    heal: p.spec?.heal ?? '',
    labels: labelTexts(p.labels),
  };
}

/** A group that exists, to be edited. */
export function draftOfGroup(g: PeeringGroup): Draft {
  const limit = limitText(g);
  return {
    ...emptyDraft,
    what: 'group',
    name: g.name,
    members: g.spec?.selector ? 'selector' : 'names',
    selector: g.spec?.selector ?? '',
    datacenters: g.spec?.datacenters ?? [],
    shape: g.spec?.shape ?? 'full-mesh',
    hub: g.spec?.hub ?? '',
    gateways: gatewaysText(g.spec?.throughGateways),
    limit: /^\d+$/.test(limit) ? limit : '',
    heal: g.spec?.heal ?? '',
    labels: labelTexts(g.labels),
  };
}

/** What is wrong with a field, or with an item of it (spec.serverExternalAddresses[0]). */
export function errorAt(errors: Readonly<Record<string, string>>, ...fields: string[]): string | undefined {
  const found = Object.entries(errors).filter(([at]) =>
    fields.some((field) => at === field || at.startsWith(`${field}[`) || at.startsWith(`${field}.`)),
  );
  return found.length === 0 ? undefined : found.map(([, message]) => message).join('; ');
}
