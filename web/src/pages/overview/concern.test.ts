import { expect, test } from 'vitest';
import { concerns, countStates, idOf } from './concern';
import { dc, fleetOf, link } from './fleet.fixture';
import { mapOf } from './map';

test('a datacenter that is cut off comes before what follows from it, and tells how many connections suffer', () => {
  const map = mapOf(
    fleetOf(
      [dc('a'), dc('b'), dc('cut', { health: 'unknown', reason: 'CutOff' })],
      [
        link('a', 'cut', { verdict: 'failing', broken: 'b-to-a' }),
        link('cut', 'b', { verdict: 'one-sided', broken: 'a-to-b' }),
        link('a', 'b', { verdict: 'failing', broken: 'both' }),
      ],
    ),
  );
  const all = concerns(map);
  expect(all.map(idOf)).toEqual(['datacenter/cut', 'peering/a-b/a/b']);
  expect(all[0]).toMatchObject({ affected: [{ name: 'a-cut' }, { name: 'cut-b' }] });
});

test('the worst first, then what reaches furthest, then the latest', () => {
  const map = mapOf(
    fleetOf(
      [
        dc('early', { health: 'failing', since: '2026-01-01T00:00:00Z' }),
        dc('late', { health: 'failing', since: '2026-01-02T00:00:00Z' }),
        dc('silent', { health: 'unknown' }),
        dc('x'),
        dc('y'),
      ],
      [
        link('x', 'y', { verdict: 'stale' }),
        link('x', 'partner', { verdict: 'unknown' }),
        link('x', 'early', { verdict: 'failing' }),
      ],
    ),
  );
  expect(concerns(map).map(idOf)).toEqual([
    'datacenter/early',
    'datacenter/late',
    'datacenter/silent',
    'peering/x-y/x/y',
    'peering/x-partner/x/partner',
  ]);
});

test('what is on its way is not wrong', () => {
  const map = mapOf(
    fleetOf(
      [dc('new', { health: 'pending' }), dc('old', { health: 'removing' }), dc('a')],
      [link('new', 'a', { verdict: 'pending' }), link('old', 'a', { verdict: 'deleting' })],
    ),
  );
  expect(concerns(map)).toEqual([]);
});

test('states are counted, the worst first', () => {
  expect(countStates(['healthy', 'failing', 'healthy', 'unknown'])).toEqual([
    ['failing', 1],
    ['unknown', 1],
    ['healthy', 2],
  ]);
});
