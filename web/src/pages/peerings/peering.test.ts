import { expect, test } from 'vitest';
import type { Peering, PeeringEnd, TokenEntry } from '../../api/types';
import { brokenText, endsOf, hangs, progress, tokenOnItsWay, touches } from './peering';

const time = '2030-01-01T00:00:00Z';

const entry = (over: Partial<TokenEntry>): TokenEntry => ({
  generation: 1,
  attempt: 1,
  claimedBy: 'dc1-a',
  claimTime: time,
  madeBy: '',
  makeTime: undefined,
  secretDigest: '',
  recipients: [],
  deliveredTo: '',
  deliverTime: undefined,
  usedBy: '',
  useTime: undefined,
  outcome: '',
  expireTime: undefined,
  ...over,
});

const end = (datacenter: string, state: string): PeeringEnd => ({
  datacenter,
  state,
  seen: true,
  since: time,
  peerId: '',
  heartbeat: '',
  importedServices: 0,
  exportedServices: 0,
  generation: 1,
  errorReason: '',
  error: '',
  heartbeatTime: undefined,
  receiveTime: undefined,
  sendTime: undefined,
  leaderTransfer: 0,
  leaderTransferError: '',
});

interface Given {
  verdict?: string;
  reason?: string;
  broken?: string;
  ledger?: TokenEntry[];
  generation?: number;
  asked?: number;
  external?: 'acceptor' | 'dialer';
  acceptorState?: string;
}

function peering(given: Given): Peering {
  const { external, generation = 0, asked = 0 } = given;
  return {
    name: 'dc1-dc2',
    labels: { env: 'test' },
    uid: 'u',
    generation: 1,
    index: '7',
    createTime: time,
    updateTime: time,
    deleteTime: undefined,
    spec: {
      acceptor: external === 'acceptor' ? '' : 'dc1',
      externalAcceptor: external === 'acceptor' ? 'acme' : '',
      dialer: external === 'dialer' ? '' : 'dc2',
      externalDialer: external === 'dialer' ? 'acme' : '',
      acceptorPeerName: 'dc2',
      dialerPeerName: 'dc1',
      throughGateways: undefined,
      serverExternalAddresses: [],
      tokenGeneration: asked,
      heal: 'suggest',
    },
    status: {
      conditions: [],
      group: '',
      state: '',
      verdict: given.verdict ?? 'pending',
      verdictSince: time,
      reason: given.reason ?? '',
      message: '',
      acceptor: external === 'acceptor' ? undefined : end('dc1', given.acceptorState ?? 'PENDING'),
      dialer: external === 'dialer' ? undefined : end('dc2', ''),
      token: {
        generation,
        reason: 'Created',
        requestTime: time,
        specGeneration: 0,
        ledger: given.ledger ?? [],
        raises: 0,
      },
      broken: given.broken ?? '',
      heal: undefined,
    },
  };
}

const states = (p: Peering) =>
  progress(p)
    .map((s) => s.state)
    .join(' ');

test('the steps follow the ledger', () => {
  expect(states(peering({}))).toBe('now later later later later');
  expect(states(peering({ generation: 1 }))).toBe('done now later later later');
  expect(states(peering({ generation: 1, ledger: [entry({ makeTime: time })] }))).toBe('done done now later later');
  const used = entry({ makeTime: time, deliverTime: time, useTime: time, outcome: 'used' });
  expect(states(peering({ generation: 1, ledger: [used] }))).toBe('done done done done now');
  expect(states(peering({ generation: 1, ledger: [used], verdict: 'healthy' }))).toBe('done done done done done');
});

test('a rotation begins the steps anew while the peering is healthy', () => {
  const used = entry({ makeTime: time, deliverTime: time, useTime: time, outcome: 'used' });
  const rotating = peering({ generation: 1, asked: 1, ledger: [used], verdict: 'healthy' });
  expect(tokenOnItsWay(rotating)).toBe(true);
  expect(states(rotating)).toBe('now later later later later');
  expect(tokenOnItsWay(peering({ generation: 1, ledger: [used], verdict: 'healthy' }))).toBe(false);
});

test('with another operator, somebody has to carry the token', () => {
  const theirs = peering({ generation: 1, external: 'dialer' });
  expect(progress(theirs).map((s) => s.title)).toEqual([
    'A token is asked for',
    'Consul in dc1 makes it',
    'Consul in acme uses it',
    'Its end hears the other one',
  ]);
  expect(progress(theirs)[1]?.detail).toContain('isthmus peering token');
  expect(progress(peering({ external: 'acceptor' }))[0]).toMatchObject({ state: 'now' });
  expect(tokenOnItsWay(theirs)).toBe(false);
});

test('what hangs can be healed', () => {
  expect(hangs(peering({ verdict: 'stale', reason: 'HeartbeatMissing' }))).toBe(true);
  expect(hangs(peering({ verdict: 'failing', reason: 'NotConnected' }))).toBe(true);
  expect(hangs(peering({ verdict: 'stale', reason: 'ImportsDiffer' }))).toBe(false);
  expect(hangs(peering({ verdict: 'healthy' }))).toBe(false);
});

test('the broken direction is said in names', () => {
  expect(brokenText(peering({ broken: 'to-dialer' }))).toBe('nothing arrives from dc1 in dc2');
  expect(brokenText(peering({ broken: 'both' }))).toContain('either');
  expect(brokenText(peering({}))).toBe('');
});

test('ends are named, also those of others', () => {
  const [acceptor, dialer] = endsOf(peering({ external: 'dialer' }));
  expect([acceptor.name, acceptor.external, dialer.name, dialer.external]).toEqual(['dc1', false, 'acme', true]);
  expect(touches(peering({}), 'dc2')).toBe(true);
  expect(touches(peering({ external: 'dialer' }), 'acme')).toBe(false);
  expect(touches(peering({}), '')).toBe(true);
});
