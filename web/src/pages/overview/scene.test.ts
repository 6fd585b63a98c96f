import { expect, test } from 'vitest';
import { centre, fit, seen, toMap, zoomAt } from './camera';
import { dc, fleetOf, link } from './fleet.fixture';
import { layout } from './layout';
import { byNothing, itemsOf, mapOf } from './map';
import { cut, hit, sceneOf } from './scene';

const map = mapOf(
  fleetOf(
    [dc('a'), dc('b', { runtime: 'kubernetes' }), dc('c', { health: 'failing' })],
    [
      link('a', 'b'),
      link('b', 'a', { kind: 'federation', name: 'wan' }),
      link('b', 'c', { verdict: 'failing', broken: 'both' }),
    ],
  ),
);
const placed = layout('ring', itemsOf(map, byNothing));
const all = { nodes: new Set(map.nodes), links: new Set(map.links) };
const scene = sceneOf(map, placed, all);

function point(name: string) {
  const at = placed.at.get(name);
  if (at === undefined) throw new Error(`${name} has no place`);
  return at;
}

test('runtimes have shapes, and what is wrong is drawn last', () => {
  expect(scene.nodes.map((n) => [n.title, n.shape])).toEqual([
    ['a', 'square'],
    ['b', 'circle'],
    ['c', 'square'],
  ]);
  expect(scene.strands.at(-1)).toMatchObject({ state: 'failing', dashed: false });
  expect(scene.strands.filter((s) => s.dashed).map((s) => s.links.length)).toEqual([1]);
});

test('a point finds a node before the links that end there, and a link beside its twin', () => {
  expect(hit(scene, point('a'), 5)).toMatchObject({ name: 'a' });
  const twins = scene.strands.filter((s) => s.state === 'healthy').flatMap((s) => s.links);
  for (const { link: twin, from, to } of twins) {
    expect(hit(scene, { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 }, 3)).toBe(twin);
  }
  expect(hit(scene, { x: placed.box.x, y: placed.box.y }, 5)).toBeUndefined();
});

test('what is not looked for cannot be hit', () => {
  const faded = sceneOf(map, placed, { nodes: new Set(), links: new Set() });
  expect(hit(faded, point('a'), 5)).toBeUndefined();
});

test('long texts are cut', () => {
  expect(cut('abcdef', 6)).toBe('abcdef');
  expect(cut('abcdefg', 6)).toBe('abcde…');
});

test('the camera shows everything, and keeps what it zooms at where it is', () => {
  const size = { width: 800, height: 600 };
  const camera = fit({ x: -4000, y: -1000, width: 8000, height: 2000 }, size);
  expect(camera.zoom).toBeCloseTo(0.1);
  expect(seen(camera, size)).toMatchObject({ x: -4000, width: 8000 });
  const at = { x: 100, y: 200 };
  const near = zoomAt(camera, 3, at);
  expect(toMap(near, at).x).toBeCloseTo(toMap(camera, at).x);
  expect(toMap(near, at).y).toBeCloseTo(toMap(camera, at).y);
  expect(fit({ x: 0, y: 0, width: 10, height: 10 }, size).zoom).toBeLessThan(2);
  expect(toMap(centre({ x: 5, y: 7 }, 2, size), { x: 400, y: 300 })).toEqual({ x: 5, y: 7 });
});
