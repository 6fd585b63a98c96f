// Where everything stands on the map: by rules, not by simulated forces, so that the same fleet is the same picture each time.
//
//   items ─▶ areas (one for each group, each with numbered slots) ─▶ areas placed ─▶ items take slots in order
//
// While a page is open, what stands somewhere stays there: a newcomer takes a free slot of its group (each has spare ones), and only
// when there is none is everything arranged anew.

export const layoutKinds = ['group', 'ring', 'hub'] as const;
export type LayoutKind = (typeof layoutKinds)[number];

/** Something that has a place. */
export interface Item {
  /** Unique. */
  name: string;
  /** The group that it stands with: an id that sorts, and what is written there. */
  area: string;
  title: string;
  /** How many connections it has: the one with most is its group's hub. */
  degree: number;
}

export interface Point {
  x: number;
  y: number;
}

export interface Box extends Point {
  width: number;
  height: number;
}

interface Area {
  id: string;
  title: string;
  slots: Point[];
  /** This many of the first slots are not for newcomers. */
  reserved: number;
  /** Where its title stands, beside or above what is taken: undefined is above. */
  label?: Point;
}

interface Place extends Point {
  area: number;
  slot: number;
}

export interface Layout {
  kind: LayoutKind;
  areas: Area[];
  at: ReadonlyMap<string, Place>;
  /** Around everything. */
  box: Box;
}

/** Between neighbours: room for a name below each. */
const across = 130;
const down = 92;
/** Between groups. */
const gap = 150;
/** Groups stand on a circle, so that what connects them crosses its middle; more than these stand in rows. */
const circleMost = 16;
/** A group this small is a circle itself; a larger one is a grid. */
const smallGroup = 12;
/** Around all. */
const margin = 90;
const turn = 2 * Math.PI;
/** The first one stands at the top. */
const top = -Math.PI / 2;

/** Places items. before is the layout that is shown until now; what stands there stays when all the others find room. */
export function layout(kind: LayoutKind, items: readonly Item[], before?: Layout): Layout {
  return keep(kind, items, before) ?? arrange(kind, items);
}

function keep(kind: LayoutKind, items: readonly Item[], before: Layout | undefined): Layout | undefined {
  if (before?.kind !== kind) return undefined;
  const at = new Map<string, Place>();
  const taken = before.areas.map(() => new Set<number>());
  const newcomers: Item[] = [];
  for (const item of items) {
    const place = before.at.get(item.name);
    if (place === undefined || before.areas[place.area]?.id !== item.area) {
      newcomers.push(item);
      continue;
    }
    at.set(item.name, place);
    taken[place.area]?.add(place.slot);
  }
  if (newcomers.length === 0 && at.size === before.at.size) return before;
  const index = new Map(before.areas.map((a, i) => [a.id, i]));
  for (const item of newcomers.sort(byName)) {
    const i = index.get(item.area) ?? -1;
    const area = before.areas[i];
    const free = area?.slots.findIndex((_, s) => s >= area.reserved && taken[i]?.has(s) === false) ?? -1;
    const slot = area?.slots[free];
    if (slot === undefined) return undefined;
    taken[i]?.add(free);
    at.set(item.name, { ...slot, area: i, slot: free });
  }
  return { ...before, at, box: around(at.values()) };
}

function arrange(kind: LayoutKind, items: readonly Item[]): Layout {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(item.area);
    if (group === undefined) groups.set(item.area, [item]);
    else group.push(item);
  }
  const sorted = [...groups.values()].sort((a, b) => compare(a[0]?.area ?? '', b[0]?.area ?? ''));
  for (const group of sorted) group.sort(kind === 'hub' ? hubFirst : byName);
  const areas = kind === 'ring' ? sectors(sorted) : place(sorted.map(kind === 'hub' ? flower : block));
  const at = new Map<string, Place>();
  sorted.forEach((group, area) =>
    group.forEach((item, slot) => {
      const point = areas[area]?.slots[slot];
      if (point !== undefined) at.set(item.name, { ...point, area, slot });
    }),
  );
  return { kind, areas, at, box: around(at.values()) };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function byName(a: Item, b: Item): number {
  return compare(a.name, b.name);
}

function hubFirst(a: Item, b: Item): number {
  return b.degree - a.degree || byName(a, b);
}

/** A group around (0, 0), and how far it reaches. */
interface Group {
  id: string;
  title: string;
  slots: Point[];
  reserved: number;
  radius: number;
}

function group(items: readonly Item[], slots: Point[], reserved = 0): Group {
  const used = slots.slice(0, items.length);
  const radius = Math.max(...used.map((p) => Math.hypot(p.x, p.y))) + across / 2;
  return { id: items[0]?.area ?? '', title: items[0]?.title ?? '', slots, reserved, radius };
}

/** A group in name order: a circle when it is small, else a grid whose rows are shifted by turns. The spare slots are around it. */
function block(items: readonly Item[]): Group {
  const n = items.length;
  if (n <= smallGroup) {
    const radius = n === 1 ? 0 : Math.max(n === 2 ? across * 0.6 : across * 0.75, (n * across) / turn);
    return group(items, [...circle(n, radius, 0), ...circle(Math.max(n, 4), radius + down, 0.5)]);
  }
  const columns = Math.ceil(Math.sqrt((n * 1.3 * down) / across));
  const rows = Math.ceil(n / columns);
  const slots: Point[] = [];
  // One row more than it needs.
  for (let row = 0; row <= rows; row++) {
    for (let column = 0; column < columns; column++) {
      const shift = row % 2 === 0 ? -0.25 : 0.25;
      slots.push({ x: (column - (columns - 1) / 2 + shift) * across, y: (row - (rows - 1) / 2) * down });
    }
  }
  return group(items, slots);
}

/** A group around its hub, in circles. */
function flower(items: readonly Item[]): Group {
  const slots: Point[] = [{ x: 0, y: 0 }];
  let ring = 0;
  // The last circle is spread over what stands on it, and one more circle is spare.
  for (let left = items.length - 1; left > 0; ring++) {
    const radius = across * (1.1 + ring * 0.75);
    const count = Math.min(left, Math.floor((turn * radius) / (across * 0.95)));
    slots.push(...circle(count, radius, ring % 2 === 0 ? 0 : 0.5));
    left -= count;
  }
  slots.push(...circle(8, across * (1.1 + ring * 0.75), 0.25));
  return group(items, slots, 1);
}

/** count points on a circle around (0, 0), beginning at the top, turned by a part of a step. */
function circle(count: number, radius: number, part: number): Point[] {
  return Array.from({ length: count }, (_, i) => {
    // Two stand side by side.
    const angle = (count === 2 ? Math.PI : top) + (turn * (i + part)) / count;
    return { x: radius * Math.cos(angle), y: radius * Math.sin(angle) };
  });
}

/** Puts groups where none covers another. */
function place(groups: Group[]): Area[] {
  const centres = groups.length <= circleMost ? onCircle(groups) : inRows(groups);
  return groups.map(({ id, title, slots, reserved }, i) => {
    const centre = centres[i] ?? { x: 0, y: 0 };
    return { id, title, reserved, slots: slots.map((p) => ({ x: p.x + centre.x, y: p.y + centre.y })) };
  });
}

function onCircle(groups: readonly Group[]): Point[] {
  if (groups.length <= 1) return [{ x: 0, y: 0 }];
  const wide = groups.map((g) => 2 * g.radius + gap);
  const total = wide.reduce((sum, w) => sum + w, 0);
  let before = -(wide[0] ?? 0) / 2;
  const angles = wide.map((w) => {
    const middle = before + w / 2;
    before += w;
    return (groups.length === 2 ? Math.PI : top) + (turn * middle) / total;
  });
  // Wider than high, as screens are.
  const at = (radius: number) => angles.map((a) => ({ x: 1.35 * radius * Math.cos(a), y: radius * Math.sin(a) }));
  let radius = total / turn;
  while (overlap(groups, at(radius))) radius *= 1.08;
  return at(radius);
}

function overlap(groups: readonly Group[], at: readonly Point[]): boolean {
  return at.some((p, i) =>
    at.slice(0, i).some((q, j) => {
      const reach = (groups[i]?.radius ?? 0) + (groups[j]?.radius ?? 0) + gap / 2;
      return Math.hypot(p.x - q.x, p.y - q.y) < reach;
    }),
  );
}

/** Rows of cells that are all as wide as the largest group. */
function inRows(groups: readonly Group[]): Point[] {
  const cell = 2 * Math.max(...groups.map((g) => g.radius)) + gap;
  const columns = Math.ceil(Math.sqrt(groups.length * 1.5));
  return groups.map((_, i) => ({ x: (i % columns) * cell, y: Math.floor(i / columns) * cell }));
}

/** All on one circle, some deep when they are many; each group has its part of it, with room before the next. */
function sectors(groups: readonly Item[][]): Area[] {
  const total = groups.reduce((sum, g) => sum + g.length, 0);
  const deep = Math.max(1, Math.round(Math.sqrt(total / 60)));
  // A spare column for newcomers, and an empty one.
  const room = groups.length > 1 ? 2 : 1;
  const columns = groups.map((g) => Math.ceil(g.length / deep));
  const steps = columns.reduce((sum, c) => sum + c + room, 0);
  const radius = Math.max(across, (steps * across * 0.75) / turn);
  const point = (column: number, row: number): Point => {
    const angle = top + (turn * column) / steps;
    return { x: 1.2 * (radius + row * down) * Math.cos(angle), y: (radius + row * down) * Math.sin(angle) };
  };
  let first = 0;
  return groups.map((items, i) => {
    const used = columns[i] ?? 0;
    const slots = Array.from({ length: (used + 1) * deep }, (_, s) => point(first + Math.floor(s / deep), s % deep));
    const label = groups.length > 1 ? point(first + (used - 1) / 2, deep + 0.4) : undefined;
    first += used + room;
    return { id: items[0]?.area ?? '', title: items[0]?.title ?? '', slots, reserved: 0, label };
  });
}

/** The box around places, with a margin for what is written beside them. */
export function around(points: Iterable<Point>): Box {
  let [left, upper, right, lower] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { x, y } of points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    upper = Math.min(upper, y);
    lower = Math.max(lower, y);
  }
  if (left > right) return { x: 0, y: 0, width: 0, height: 0 };
  return { x: left - margin, y: upper - margin, width: right - left + 2 * margin, height: lower - upper + 2 * margin };
}
