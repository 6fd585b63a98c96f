import { expect, test, vi } from 'vitest';

vi.stubGlobal('window', { location: { origin: 'http://127.0.0.1' } });
const { concerns, rest } = await import('./feed');

type Changes = Parameters<typeof concerns>[1];

function changes(more: Partial<Changes>): Changes {
  return { cursor: '1', reset: false, changes: [], observed: [], index: '7', time: undefined, ...more };
}

function changed(kind: string, name: string): Changes {
  return changes({ changes: [{ kind, name, deleted: false, index: '7' }] });
}

const peering = changed('Peering', 'dc1-dc2');
const event = changed('Event', '0000000007');
const told = changes({ observed: ['dc1'] });

test.each([
  [['list', 'Peering'], peering, true],
  [['list', 'Datacenter'], peering, false],
  [['one', 'Peering', 'dc1-dc2'], peering, true],
  [['one', 'Peering', 'dc1-dc3'], peering, false],
  [['fleet'], peering, true],
  [['fleet'], changed('Intention', 'x'), false],
  [['fleet'], event, false],
  [['fleet'], told, true],
  [['state', 'dc1'], told, true],
  [['state', 'dc2'], told, false],
  [['state', 'dc1'], peering, true],
  [['state', 'dc1'], changed('Datacenter', 'dc2'), false],
  [['state', 'dc1'], event, false],
  [['connections', { datacenter: 'dc1' }], told, true],
  [['connections', {}], event, false],
  [['services', '', ''], told, true],
  [['events', {}, 20], event, true],
  [['events', {}, 20], peering, false],
  [['history', 'Peering', 'dc1-dc2'], event, true],
  [['doctor', ''], peering, false],
  [['doctor', ''], changes({ reset: true }), false],
  [['server'], peering, false],
  [['list', 'Peering'], changes({ reset: true }), true],
  [['list', 'Peering'], changes({}), false],
] as const)('%j', (key, what, expected) => {
  expect(concerns([...key], what)).toBe(expected);
});

test('a fleet that never rests is not read all the time', () => {
  expect(rest(0)).toBe(100);
  expect(rest(30)).toBe(100);
  expect(rest(400)).toBe(800);
  expect(rest(60_000)).toBe(5000);
});
