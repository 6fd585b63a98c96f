import { describe, expect, it } from 'vitest';
import type { Federation, FederationMember } from '../../api/types';
import { memberState, seenBy, stateOf, touches } from './state';

function member(part: Partial<FederationMember>): FederationMember {
  const none = { phase: 'joining', wasJoined: false, readsPrimary: 'unknown', readByPrimary: 'unknown' };
  return { reason: '', message: '', datacenter: 'dc2', ...none, ...part } as FederationMember;
}

describe('memberState', () => {
  it.each([
    [{}, 'joining', 'blue'],
    [{ phase: 'joined', wasJoined: true }, 'joined', 'green'],
    [{ phase: 'blocked' }, 'blocked', 'red'],
    [{ phase: 'leaving', wasJoined: true }, 'leaving', 'gray'],
    [{ wasJoined: true, readsPrimary: 'failed', readByPrimary: 'failed' }, 'broken (joining)', 'red'],
    [{ wasJoined: true, readsPrimary: 'ok', readByPrimary: 'failed' }, 'broken (joining)', 'orange'],
    [{ phase: '' }, 'unknown', 'gray'],
  ])('%o is %s', (part, state, color) => {
    const got = memberState(member(part));
    expect([got.state, got.look.color]).toEqual([state, color]);
  });
});

describe('stateOf', () => {
  const of = (status?: string): Federation =>
    ({
      status: {
        members: [],
        conditions: status === undefined ? [] : [{ type: 'Ready', status, reason: 'Joined', message: 'all' }],
      },
    }) as unknown as Federation;

  it.each([
    ['true', 'ready', 'Joined: all'],
    ['false', 'not ready', 'Joined: all'],
    [undefined, 'unknown', 'Nobody has looked at it yet.'],
  ])('of Ready %s is %s', (status, state, hint) => {
    expect(stateOf(of(status))).toMatchObject({ state, hint });
  });

  it('of one that goes is deleting, whatever else is true', () => {
    expect(stateOf({ ...of('true'), deleteTime: '2026-01-01T00:00:00Z' }).state).toBe('deleting');
  });
});

describe('touches', () => {
  const federation = {
    spec: { primary: 'dc1', secondaries: ['dc2'] },
    status: { members: [{ datacenter: 'dc3' }] },
  } as unknown as Federation;

  it.each([
    ['', true],
    ['dc1', true],
    ['dc2', true],
    ['dc3', true],
    ['dc4', false],
  ])('%s: %s', (datacenter, want) => {
    expect(touches(federation, datacenter)).toBe(want);
  });
});

describe('seenBy', () => {
  it.each([
    [[{ status: 'alive', datacenters: ['dc1', 'dc2'] }], 'all'],
    [[{ status: 'alive', datacenters: ['dc1'] }], 'alive by dc1'],
    [
      [
        { status: 'alive', datacenters: ['dc1'] },
        { status: 'failed', datacenters: ['dc2'] },
      ],
      'alive by dc1; failed by dc2',
    ],
  ])('%o is %s', (views, want) => {
    expect(seenBy({ views }, 2)).toBe(want);
  });
});
