import { expect, test } from 'vitest';
import type { CatalogService, FleetService } from '../../api/types';
import type { End } from './peering';
import { exportedOf, importedOf } from './services';

const end = (name: string, peerName: string, external = false): End => ({
  side: 'acceptor',
  name,
  external,
  peerName,
  seen: undefined,
});
const inCatalog = (name: string, peer: string): CatalogService => ({
  name,
  peer,
  instances: 1,
  healthy: 1,
  mesh: true,
});
const service = (name: string, datacenter: string, exportedTo: string[]): FleetService => ({
  name,
  namespace: '',
  instances: 2,
  healthy: 1,
  places: [
    {
      datacenter,
      peer: '',
      from: '',
      instances: 2,
      healthy: 1,
      mesh: true,
      exportedTo,
      federatedTo: [],
      observeTime: undefined,
      current: true,
    },
  ],
});
const [dc1, dc2] = [end('dc1', 'two'), end('dc2', 'one')];

test('imported is what carries the peer’s name', () => {
  const catalog = [inCatalog('web', 'one'), inCatalog('api', ''), inCatalog('db', 'other')];
  expect(importedOf(catalog, dc2).map((s) => s.name)).toEqual(['web']);
  expect(importedOf(catalog, end('dc2', ''))).toEqual([]);
});

test('exported is what is declared or arrives, and says whether it does', () => {
  const found = [
    service('web', 'dc1', ['dc2']),
    service('api', 'dc1', ['dc2']),
    service('byhand', 'dc1', []),
    service('own', 'dc1', ['dc3']),
  ];
  const arrived = [inCatalog('web', 'one'), inCatalog('byhand', 'one')];
  expect(exportedOf(found, dc1, dc2, arrived).map((s) => [s.name, s.arrives])).toEqual([
    ['web', 'yes'],
    ['api', 'no'],
    ['byhand', 'yes'],
  ]);
});

test('what another operator’s cluster shows nobody knows', () => {
  const found = [service('web', 'dc1', ['acme'])];
  expect(exportedOf(found, dc1, end('acme', 'one', true), undefined)[0]?.arrives).toBe('unknown');
});
