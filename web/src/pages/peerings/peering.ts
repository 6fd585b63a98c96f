// What pages about peerings work out of one.

import type { Peering, PeeringEnd, TokenEntry } from '../../api/types';

export type Side = 'acceptor' | 'dialer';

/** One end of a peering: whose it is, and what was seen of it. */
export interface End {
  side: Side;
  /** The datacenter, or the name of another operator's cluster. */
  name: string;
  external: boolean;
  /** What the peer is called in this end's Consul. */
  peerName: string;
  /** What its agent told; undefined: nothing yet, or nobody can. */
  seen: PeeringEnd | undefined;
}

/** Both ends, the acceptor first. */
export function endsOf(p: Peering): [acceptor: End, dialer: End] {
  const { spec, status } = p;
  return [
    {
      side: 'acceptor',
      name: spec?.acceptor || spec?.externalAcceptor || '',
      external: Boolean(spec?.externalAcceptor),
      peerName: spec?.acceptorPeerName ?? '',
      seen: status?.acceptor,
    },
    {
      side: 'dialer',
      name: spec?.dialer || spec?.externalDialer || '',
      external: Boolean(spec?.externalDialer),
      peerName: spec?.dialerPeerName ?? '',
      seen: status?.dialer,
    },
  ];
}

/** Tells whether a datacenter is an end; all are when none is named. */
export function touches(p: Peering, datacenter: string): boolean {
  return datacenter === '' || p.spec?.acceptor === datacenter || p.spec?.dialer === datacenter;
}

export function verdictOf(p: Peering): string {
  return p.status?.verdict || 'unknown';
}

/** In which direction nothing arrives, in words; empty: none. */
export function brokenText(p: Peering): string {
  const [acceptor, dialer] = endsOf(p);
  switch (p.status?.broken) {
    case 'to-dialer':
      return `nothing arrives from ${acceptor.name} in ${dialer.name}`;
    case 'to-acceptor':
      return `nothing arrives from ${dialer.name} in ${acceptor.name}`;
    case 'both':
      return 'nothing arrives in either direction';
  }
  return '';
}

/** Tells whether a stream hangs: what healing is for (the server's own rule). */
export function hangs(p: Peering): boolean {
  const { verdict, reason } = p.status ?? { verdict: '', reason: '' };
  return (
    (verdict === 'stale' && reason === 'HeartbeatMissing') ||
    (verdict === 'failing' && (reason === 'ConnectionFailing' || reason === 'NotConnected'))
  );
}

/** The last attempt at the token that agents obey. */
export function currentToken(p: Peering): TokenEntry | undefined {
  const token = p.status?.token;
  return token?.ledger.find((e) => e.generation === token.generation);
}

/** Tells whether a token is asked for that nobody has used yet. */
export function tokenOnItsWay(p: Peering): boolean {
  const { spec, status } = p;
  if (p.deleteTime !== undefined || spec === undefined) return false;
  if (spec.tokenGeneration > (status?.token?.specGeneration ?? 0)) return true;
  const current = currentToken(p);
  // Another operator's Consul does not say that it used one.
  if (spec.externalDialer !== '' || current === undefined) return false;
  return current.outcome === '' || current.outcome === 'made' || current.outcome === 'delivered';
}

export interface Step {
  title: string;
  /** Who did it, or what it waits for. */
  detail: string;
  state: 'done' | 'now' | 'later';
  time?: string | undefined;
}

/** From a declared peering to a healthy one, step by step. What is done is known from the ledger, and the end from the verdict. */
export function progress(p: Peering): Step[] {
  const [acceptor, dialer] = endsOf(p);
  const current = currentToken(p);
  const asked = p.status?.token;
  const wanted = (asked?.generation ?? 0) > 0 && (p.spec?.tokenGeneration ?? 0) <= (asked?.specGeneration ?? 0);
  const steps: Omit<Step, 'state'>[] = [];
  const reached: boolean[] = [];
  const add = (done: boolean, title: string, detail: string, time?: string) => {
    steps.push({ title, detail, time: done ? time : undefined });
    reached.push(done);
  };

  if (acceptor.external) {
    add(wanted, `A token of ${acceptor.name} is brought in`, 'isthmus peering import', asked?.requestTime);
  } else {
    add(wanted, 'A token is asked for', asked?.reason ?? '', asked?.requestTime);
    const maker = dialer.external
      ? `isthmus peering token, on the host of ${acceptor.name}'s agent`
      : `the agent of ${acceptor.name}`;
    add(isSet(current?.makeTime), `Consul in ${acceptor.name} makes it`, current?.madeBy || maker, current?.makeTime);
  }
  if (dialer.external) {
    add(
      acceptor.seen?.state === 'ACTIVE',
      `Consul in ${dialer.name} uses it`,
      'their operator establishes the peering',
      acceptor.seen?.since,
    );
  } else {
    const agent = `the agent of ${dialer.name}`;
    add(
      isSet(current?.deliverTime),
      `It reaches ${dialer.name}, sealed`,
      current?.deliveredTo || agent,
      current?.deliverTime,
    );
    add(isSet(current?.useTime), `Consul in ${dialer.name} uses it`, current?.usedBy || agent, current?.useTime);
  }
  const healthy = p.status?.verdict === 'healthy';
  const external = acceptor.external || dialer.external;
  add(
    healthy,
    external ? 'Its end hears the other one' : 'Both ends hear each other',
    healthy ? '' : stateText([acceptor, dialer]),
    p.status?.verdictSince,
  );

  // What comes later proves what is before it: a ledger keeps the last tokens only.
  const last = healthy && !tokenOnItsWay(p) ? reached.length : reached.indexOf(false);
  return steps.map((step, i) => ({
    ...step,
    state: i < last || last === -1 ? 'done' : i === last ? 'now' : 'later',
  }));
}

function isSet(time: string | undefined): boolean {
  return time !== undefined && time !== '';
}

function stateText(ends: readonly End[]): string {
  return ends
    .filter((e) => !e.external)
    .map((e) => `${e.name}: ${e.seen?.state || 'no end yet'}`)
    .join(', ');
}
