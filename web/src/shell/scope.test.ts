import { expect, test } from 'vitest';
import { datacenterAt } from './scope';

test.each([
  ['/datacenters/dc1', 'dc1'],
  ['/datacenters/a%20b', 'a b'],
  ['/datacenters/%E0%A4%A', '%E0%A4%A'],
  ['/datacenters', undefined],
  ['/datacenters/dc1/x', undefined],
  ['/peerings/dc1', undefined],
])('%s is of %s', (path, datacenter) => {
  expect(datacenterAt(path)).toBe(datacenter);
});
