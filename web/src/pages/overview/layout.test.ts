import { expect, test } from 'vitest';
import { type Item, type Layout, layout, layoutKinds } from './layout';

/** count items over some groups, in an order that is not that of their names. */
function fleet(count: number, groups: number): Item[] {
  return Array.from({ length: count }, (_, i) => {
    const n = (i * 7919) % count;
    const group = `0region-${n % groups}`;
    return { name: `dc-${String(n).padStart(4, '0')}`, area: group, title: group.slice(1), degree: n % 13 };
  });
}

function newcomer(area = '0region-1', name = 'dc-0001a'): Item {
  return { name, area, title: area.slice(1), degree: 1 };
}

function nearest(placed: Layout): number {
  const points = [...placed.at.values()];
  let least = Infinity;
  points.forEach((p, i) => {
    for (const q of points.slice(0, i)) least = Math.min(least, Math.hypot(p.x - q.x, p.y - q.y));
  });
  return least;
}

const sizes = [
  [1, 1],
  [2, 2],
  [3, 1],
  [9, 3],
  [40, 3],
  [200, 40],
  [1000, 10],
] as const;

for (const kind of layoutKinds) {
  for (const [count, groups] of sizes) {
    const name = `${kind}: ${count} in ${groups}`;

    test(`${name}: all stand apart, within the box`, () => {
      const placed = layout(kind, fleet(count, groups));
      expect(placed.at.size).toBe(count);
      // Nodes have a radius of 17.
      if (count > 1) expect(nearest(placed)).toBeGreaterThan(60);
      for (const { x, y } of placed.at.values()) {
        expect(x).toBeGreaterThan(placed.box.x);
        expect(x).toBeLessThan(placed.box.x + placed.box.width);
        expect(y).toBeGreaterThan(placed.box.y);
        expect(y).toBeLessThan(placed.box.y + placed.box.height);
      }
    });

    test(`${name}: the same in whatever order`, () => {
      const items = fleet(count, groups);
      expect(layout(kind, items.toReversed())).toEqual(layout(kind, items));
    });

    test(`${name}: a newcomer moves nobody, nor does one that goes`, () => {
      const items = fleet(count, groups);
      const before = layout(kind, items);
      const area = items[0]?.area ?? '';
      const after = layout(kind, [...items, newcomer(area)], before);
      expect(after.at.size).toBe(count + 1);
      for (const [who, place] of before.at) expect(after.at.get(who)).toEqual(place);
      expect(nearest(after)).toBeGreaterThan(60);
      const gone = layout(kind, items, after);
      expect(gone.at).toEqual(before.at);
    });
  }

  test(`${kind}: what is the same is the same layout`, () => {
    const before = layout(kind, fleet(40, 3));
    expect(layout(kind, fleet(40, 3), before)).toBe(before);
  });

  test(`${kind}: all is arranged anew when there is no room, or no such group yet`, () => {
    const items = fleet(9, 3);
    const before = layout(kind, items);
    const many = Array.from({ length: 40 }, (_, i) => newcomer('0region-1', `more-${i}`));
    expect(layout(kind, [...items, ...many], before)).toEqual(layout(kind, [...items, ...many]));
    const other = [...items, newcomer('0region-9')];
    expect(layout(kind, other, before)).toEqual(layout(kind, other));
  });

  test(`${kind}: nothing is no error`, () => {
    expect(layout(kind, []).at.size).toBe(0);
  });
}

test('another kind of layout is another picture', () => {
  const before = layout('group', fleet(9, 3));
  expect(layout('ring', fleet(9, 3), before).at).not.toEqual(before.at);
});

test('the one with most connections is in the middle of its group, and a newcomer never is', () => {
  const items = Array.from({ length: 20 }, (_, i) => ({
    name: `dc${i}`,
    area: '0',
    title: '',
    degree: i === 7 ? 19 : 1,
  }));
  const placed = layout('hub', items);
  expect(placed.at.get('dc7')).toMatchObject({ x: 0, y: 0 });
  const without = layout(
    'hub',
    items.filter((i) => i.name !== 'dc7'),
    placed,
  );
  expect(without.at.get('dc8')).toEqual(placed.at.get('dc8'));
  const again = layout('hub', [...items.filter((i) => i.name !== 'dc7'), newcomer('0')], without);
  expect(again.at.get('dc-0001a')).not.toMatchObject({ x: 0, y: 0 });
});
