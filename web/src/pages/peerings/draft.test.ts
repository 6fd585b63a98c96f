import { expect, test } from 'vitest';
import { toYAML } from '../../api/manifest';
import { defaultName, type Draft, emptyDraft, errorAt, manifestOfDraft } from './draft';

const draft = (over: Partial<Draft>): Draft => ({ ...emptyDraft, ...over });
const yaml = (over: Partial<Draft>) => toYAML([manifestOfDraft(draft(over))]);

test('a peering says no more than was filled in', () => {
  expect(yaml({ acceptor: 'dc1', dialer: 'dc2' })).toBe(
    'kind: Peering\nname: dc1-dc2\nspec:\n  acceptor: dc1\n  dialer: dc2\n',
  );
});

test('what is no is not left out', () => {
  expect(yaml({ acceptor: 'dc1', dialer: 'dc2', gateways: 'no' })).toContain('throughGateways: false');
});

test('an external cluster stands at the end that it is', () => {
  expect(yaml({ what: 'external', external: 'acceptor', acceptor: 'acme', dialer: 'dc1' })).toContain(
    'externalAcceptor: acme\n  dialer: dc1',
  );
  expect(yaml({ what: 'external', external: 'dialer', acceptor: 'dc1', dialer: 'acme' })).toContain(
    'acceptor: dc1\n  externalDialer: acme',
  );
});

test('a group has a selector or names, and a hub only where it is for', () => {
  const group = { what: 'group', name: 'emea', hub: 'role=hub', selector: 'env=prod', datacenters: ['dc1'] } as const;
  const mesh = yaml({ ...group, datacenters: ['dc1'] });
  expect(mesh).toContain('selector: env=prod');
  expect(mesh).not.toContain('hub: ');
  expect(mesh).not.toContain('datacenters');
  const hub = yaml({ ...group, datacenters: ['dc1'], members: 'names', shape: 'hub-and-spoke', limit: '0' });
  expect(hub).toContain('hub: role=hub');
  expect(hub).toContain('maxDeletions: 0');
  expect(hub).not.toContain('selector');
});

test('text is never YAML', () => {
  expect(manifestOfDraft(draft({ name: 'a: b\nc', acceptor: '- x' })).name).toBe('a: b\nc');
  expect(yaml({ name: 'x', acceptor: '- x\nkind: Evil', dialer: 'b' })).not.toMatch(/^kind: Evil/m);
});

test('names come from the ends', () => {
  expect(defaultName(draft({ acceptor: 'a', dialer: 'b' }))).toBe('a-b');
  expect(defaultName(draft({ acceptor: 'a' }))).toBe('a');
  expect(defaultName(draft({ what: 'group', acceptor: 'a' }))).toBe('');
});

test('errors of items are errors of their field', () => {
  const errors = { 'spec.serverExternalAddresses[1]': 'no port', 'spec.dialer': 'unknown' };
  expect(errorAt(errors, 'spec.serverExternalAddresses')).toBe('no port');
  expect(errorAt(errors, 'spec.dialer', 'spec.externalDialer')).toBe('unknown');
  expect(errorAt(errors, 'spec.dial')).toBeUndefined();
});
