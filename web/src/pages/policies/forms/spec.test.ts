import { describe, expect, it } from 'vitest';
import {
  exportSpec,
  intentionSpec,
  noExport,
  noIntention,
  noSource,
  noTraffic,
  nowhere,
  sumOf,
  trafficSpec,
  whereSpec,
} from './spec';

const dc1 = { ...nowhere, datacenters: ['dc1'] };

describe('whereSpec', () => {
  it.each([
    ['names', { datacenters: ['dc1'] }],
    ['selector', { selector: 'env=prod' }],
    ['none', {}],
  ] as const)('by %s has that only', (by, spec) => {
    expect(whereSpec({ by, datacenters: ['dc1'], selector: ' env=prod ' })).toEqual(spec);
  });
});

describe('exportSpec', () => {
  it('has consumers beside the exporters', () => {
    const to = { ...nowhere, by: 'selector' as const, selector: 'env=prod' };
    expect(exportSpec({ ...noExport, service: ' web ', from: dc1, to, peers: ['acme'] })).toEqual({
      service: 'web',
      datacenters: ['dc1'],
      consumers: { selector: 'env=prod', peers: ['acme'] },
    });
  });
});

describe('intentionSpec', () => {
  it('has a caller from a peer without datacenters of its own', () => {
    const sources = [
      { ...noSource, service: 'api' },
      { ...noSource, service: '*', from: dc1, action: 'deny' as const },
      { ...noSource, service: 'shop', from: dc1, peer: 'acme' },
    ];
    expect(intentionSpec({ ...noIntention, service: 'web', where: dc1, sources, wide: true })).toEqual({
      destination: { service: 'web', datacenters: ['dc1'] },
      sources: [
        { service: 'api', action: 'allow' },
        { service: '*', datacenters: ['dc1'], action: 'deny' },
        { service: 'shop', peer: 'acme', action: 'allow' },
      ],
      scope: 'federation',
    });
  });
});

describe('trafficSpec', () => {
  const typed = { ...noTraffic, service: 'web', callers: dc1, steps: [{ to: dc1, sameLabel: ' region ' }] };

  it('fails over step by step', () => {
    expect(trafficSpec(typed)).toEqual({
      service: 'web',
      datacenters: ['dc1'],
      failover: [{ datacenters: ['dc1'], sameLabel: 'region' }],
      redirect: undefined,
      split: [],
      routes: [],
      protocol: '',
      scope: '',
    });
  });

  it.each(['redirect', 'split', 'routes'] as const)('of the way %s has nothing of another', (way) => {
    const spec = trafficSpec({ ...typed, way }) as Record<string, unknown>;
    const said = ['failover', 'redirect', 'split', 'routes'].filter((k) => {
      const value = spec[k];
      return Array.isArray(value) ? value.length > 0 : value !== undefined;
    });
    expect(said).toEqual([way]);
    expect(spec.protocol).toBe(way === 'redirect' ? '' : 'http');
  });

  it('splits by numbers, though they are typed', () => {
    const split = [
      { weight: '80', target: { service: '', datacenter: 'dc2', peer: '' } },
      { weight: 20, target: { service: 'web', datacenter: 'dc2', peer: 'acme' } },
    ];
    expect(sumOf(split)).toBe(100);
    expect(trafficSpec({ ...typed, way: 'split', split })).toMatchObject({
      split: [
        { weight: 80, target: { service: '', datacenter: 'dc2' } },
        { weight: 20, target: { service: 'web', peer: 'acme' } },
      ],
    });
  });
});
