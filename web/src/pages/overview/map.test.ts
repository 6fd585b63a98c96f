import { expect, test } from 'vitest';
import { dc, fleetOf, link } from './fleet.fixture';
import {
  byFederation,
  byNothing,
  byRuntime,
  type Filter,
  itemsOf,
  labelKeys,
  labelValues,
  mapOf,
  matching,
  usualGrouping,
} from './map';

const fleet = fleetOf(
  [
    dc('dublin', { labels: { region: 'eu', env: 'prod' }, runtime: 'kubernetes' }),
    dc('paris', { labels: { region: 'eu' }, federation: 'wan' }),
    dc('ohio', { labels: { region: 'us' }, health: 'failing', federation: 'wan' }),
    dc('tokyo'),
  ],
  [
    link('dublin', 'paris', { verdict: 'one-sided', broken: 'a-to-b' }),
    link('paris', 'dublin', { kind: 'federation', name: 'wan' }),
    link('ohio', 'paris', { kind: 'federation', name: 'wan', verdict: 'failing', broken: 'both' }),
    link('dublin', 'partner'),
  ],
);

test('an external cluster is a node of its own, and links know their ends', () => {
  const map = mapOf(fleet);
  expect(map.nodes.map((n) => n.id)).toEqual([
    'datacenter/dublin',
    'datacenter/paris',
    'datacenter/ohio',
    'datacenter/tokyo',
    'external/partner',
  ]);
  expect(map.find.get('federation/wan/ohio/paris')).toMatchObject({ from: { name: 'ohio' }, to: { name: 'paris' } });
});

test('links between the same two lie beside each other, whichever end comes first', () => {
  const lanes = mapOf(fleet).links.map((l) => [l.lane, l.lanes]);
  expect(lanes).toEqual([
    [0, 2],
    [1, 2],
    [0, 1],
    [0, 1],
  ]);
});

test('looked at one datacenter, its connections and whom they reach remain', () => {
  const map = mapOf(fleet, 'ohio');
  expect(map.nodes.map((n) => n.name)).toEqual(['paris', 'ohio']);
  expect(map.links.map((l) => l.id)).toEqual(['federation/wan/ohio/paris']);
  expect(mapOf(fleet, 'tokyo').nodes.map((n) => n.name)).toEqual(['tokyo']);
});

const everything: Filter = { text: '', health: '', runtime: '', label: '', kind: '', verdict: '' };

const filters: [name: string, filter: Partial<Filter>, nodes: string[], links: number][] = [
  ['nothing chosen', {}, ['dublin', 'paris', 'ohio', 'tokyo', 'partner'], 4],
  ['a part of a name', { text: 'PAR' }, ['paris', 'partner'], 4],
  ['health', { health: 'failing' }, ['ohio'], 1],
  ['runtime', { runtime: 'kubernetes' }, ['dublin'], 3],
  ['external', { runtime: 'external' }, ['partner'], 1],
  ['label', { label: 'region=eu' }, ['dublin', 'paris'], 4],
  ['kind of connection', { kind: 'federation' }, ['dublin', 'paris', 'ohio'], 2],
  ['verdict', { verdict: 'one-sided' }, ['dublin', 'paris'], 1],
  ['a verdict within a health', { health: 'failing', verdict: 'one-sided' }, [], 0],
];

test.each(filters)('looking for %s', (_, filter, nodes, links) => {
  const found = matching(mapOf(fleet), { ...everything, ...filter });
  expect([...found.nodes].map((n) => n.name)).toEqual(nodes);
  expect(found.links.size).toBe(links);
});

test('labels to group and filter by', () => {
  expect(labelKeys(fleet)).toEqual(['region', 'env']);
  expect(labelValues(fleet)).toEqual(['env=prod', 'region=eu', 'region=us']);
  expect(usualGrouping(['env', 'topology.kubernetes.io/region'])).toBe('topology.kubernetes.io/region');
  expect(usualGrouping(['env', 'zone'])).toBe('zone');
  expect(usualGrouping(['env'])).toBe(byNothing);
});

const groupings: [by: string, titles: string[]][] = [
  ['region', ['eu', 'eu', 'us', 'no region', 'External clusters']],
  [byFederation, ['no federation', 'wan', 'wan', 'no federation', 'External clusters']],
  [byRuntime, ['kubernetes', 'vm', 'vm', 'vm', 'External clusters']],
  [byNothing, ['', '', '', '', 'External clusters']],
];

test.each(groupings)('grouped by %s', (by, titles) => {
  expect(itemsOf(mapOf(fleet), by).map((i) => i.title)).toEqual(titles);
});

test('a label that is called like the group of others is another group', () => {
  const odd = fleetOf([dc('a', { labels: { x: 'External clusters' } })], [link('a', 'partner')]);
  const [a, partner] = itemsOf(mapOf(odd), 'x');
  expect(a?.title).toBe(partner?.title);
  expect(a?.area).not.toBe(partner?.area);
});
