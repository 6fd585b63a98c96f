import { describe, expect, it } from 'vitest';
import { type Policy, policyKind, stateOf, where } from './kinds';
import { does, target } from './words';

function policy(spec: object, rest: object = {}): Policy {
  return { name: 'p', spec, ...rest } as unknown as Policy;
}

const none = { datacenters: [], selector: '' };
const to = (datacenter: string) => ({ service: '', datacenter, peer: '' });
const traffic = { service: 'web', ...none, failover: [], split: [], routes: [] };

describe('does', () => {
  it.each([
    [{ service: 'web', consumers: { ...none, datacenters: ['dc2', 'dc3'], peers: ['acme'] } }, 'to dc2, dc3, acme'],
    [{ service: 'web', consumers: { datacenters: [], selector: 'env=prod', peers: [] } }, 'to env=prod'],
    [
      {
        destination: {},
        sources: [
          { service: 'api', ...none, peer: '', action: 'allow', permissions: [] },
          { service: 'shop', ...none, peer: 'acme', action: 'deny', permissions: [] },
          { service: 'job', datacenters: ['dc2'], selector: '', peer: '', action: '', permissions: [{}] },
        ],
      },
      'allow api; deny shop (acme); HTTP rules for job (dc2)',
    ],
    [
      {
        ...traffic,
        failover: [
          { peers: [], datacenters: ['dc2'], selector: '' },
          { peers: ['acme'], ...none },
        ],
      },
      'fails over to dc2, then acme',
    ],
    [{ ...traffic, redirect: to('dc2') }, 'redirects to the same service in dc2'],
    [
      {
        ...traffic,
        split: [
          { weight: 90, target: undefined },
          { weight: 10, target: to('dc2') },
        ],
      },
      'splits: 90 % as before, 10 % the same service in dc2',
    ],
    [{ ...traffic, routes: [{}, {}] }, '2 routes'],
  ])('%o', (spec, want) => {
    expect(does(policy(spec))).toBe(want);
  });
});

describe('target', () => {
  it('names a peer as one', () => {
    expect(target({ service: 'web', datacenter: '', peer: 'acme' })).toBe('web in peer acme');
  });
});

describe('stateOf', () => {
  const conditions = (status: string) => ({
    status: { conditions: [{ type: 'Ready', status, reason: 'R', message: 'm' }] },
  });

  it.each([
    [conditions('true'), 'applied'],
    [conditions('false'), 'not applied'],
    [conditions('unknown'), 'unknown'],
    [{}, 'unknown'],
    [{ ...conditions('true'), deleteTime: '2026-01-01T00:00:00Z' }, 'deleting'],
  ])('%o is %s', (rest, want) => {
    expect(stateOf(policy({}, rest)).state).toBe(want);
  });
});

it('knows the kinds of policies, and no other', () => {
  expect([policyKind('Intention'), policyKind('Peering'), policyKind(undefined)]).toEqual([
    'Intention',
    undefined,
    undefined,
  ]);
});

it('says where by name or by label', () => {
  expect([
    where(undefined),
    where({ datacenters: ['dc1', 'dc2'], selector: '' }),
    where({ ...none, selector: 'a=b' }),
  ]).toEqual(['', 'dc1, dc2', 'a=b']);
});
