// The fleet as a map shows it: nodes and links with what finds, filters and groups them. Pure.

import type { Fleet, FleetDatacenter, FleetLink } from '../../api/types';
import { labelTexts } from '../../kit/labels';
import { verdictLook } from '../../kit/verdict';
import type { Item } from './layout';

export interface MapNode {
  /** datacenter/NAME or external/NAME: stands in the address. */
  id: string;
  name: string;
  /** Unset: an external cluster, of which only its connections are known. */
  datacenter?: FleetDatacenter;
  links: MapLink[];
}

export interface MapLink extends Pick<FleetLink, 'kind' | 'name' | 'a' | 'b' | 'verdict' | 'broken'> {
  /** KIND/NAME/A/B: stands in the address. */
  id: string;
  link: FleetLink;
  from: MapNode;
  to: MapNode;
  /** Which of the links between the same two it is, and how many there are. */
  lane: number;
  lanes: number;
}

export interface FleetMap {
  nodes: MapNode[];
  links: MapLink[];
  /** By id. */
  find: ReadonlyMap<string, MapNode | MapLink>;
}

export function isLink(found: MapNode | MapLink): found is MapLink {
  return 'verdict' in found;
}

/** All of a fleet, or one datacenter of it with its connections and whom they reach. */
export function mapOf(fleet: Fleet, scope = ''): FleetMap {
  const nodes = new Map<string, MapNode>();
  const shown = fleet.links.filter((l) => scope === '' || l.a === scope || l.b === scope);
  const near = new Set(shown.flatMap((l) => [l.a, l.b]));
  for (const datacenter of fleet.datacenters) {
    const { name } = datacenter;
    if (scope !== '' && name !== scope && !near.has(name)) continue;
    nodes.set(name, { id: `datacenter/${name}`, name, datacenter, links: [] });
  }
  const end = (name: string): MapNode => {
    let node = nodes.get(name);
    if (node === undefined) nodes.set(name, (node = { id: `external/${name}`, name, links: [] }));
    return node;
  };
  const pairs = new Map<string, MapLink[]>();
  const links = shown.map((link): MapLink => {
    const { kind, name, a, b, verdict, broken } = link;
    const [from, to] = [end(a), end(b)];
    const pair = a < b ? `${a}/${b}` : `${b}/${a}`;
    const beside = pairs.get(pair) ?? [];
    if (beside.length === 0) pairs.set(pair, beside);
    const id = `${kind}/${name}/${a}/${b}`;
    const out: MapLink = { id, kind, name, a, b, verdict, broken, link, from, to, lane: beside.length, lanes: 1 };
    beside.push(out);
    from.links.push(out);
    to.links.push(out);
    return out;
  });
  for (const beside of pairs.values()) for (const link of beside) link.lanes = beside.length;
  const all = [...nodes.values()];
  return { nodes: all, links, find: new Map([...all, ...links].map((found) => [found.id, found])) };
}

/** The health of a datacenter; of an external cluster nothing is known but its connections. */
export function healthOf(node: MapNode): string {
  return node.datacenter?.health ?? 'external';
}

/** How a node is told apart from others of its kind. */
export function runtimeOf(node: MapNode): string {
  return node.datacenter === undefined ? 'external' : node.datacenter.runtime;
}

/** Worse than on its way. */
export function isWrong(state: string): boolean {
  return verdictLook(state).weight > 1;
}

/** What the map groups by, beside labels. Labels have no @. */
export const byFederation = '@federation';
export const byRuntime = '@runtime';
export const byNothing = '@none';

/** Labels by which a fleet can be grouped: those that say the same of several, the most common first. */
export function labelKeys(fleet: Fleet): string[] {
  const count = new Map<string, number>();
  for (const { labels } of fleet.datacenters) {
    for (const key of Object.keys(labels)) count.set(key, (count.get(key) ?? 0) + 1);
  }
  return [...count].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).map(([key]) => key);
}

/** What to group by when nobody chose: the label that is a region, or else nothing. */
export function usualGrouping(keys: readonly string[]): string {
  return keys.find((k) => /(^|[./-])region$/i.test(k)) ?? keys.find((k) => /(^|[./-])zone$/i.test(k)) ?? byNothing;
}

/** key=value of each label that a fleet has, sorted. */
export function labelValues(fleet: Fleet): string[] {
  const all = new Set(fleet.datacenters.flatMap((d) => labelTexts(d.labels)));
  return [...all].sort();
}

/** The items of a layout: which group each node stands with. */
export function itemsOf(map: FleetMap, by: string): Item[] {
  return map.nodes.map((node) => {
    const degree = node.links.length;
    const { name, datacenter } = node;
    // Ids sort: named groups, then what has no such label, then what is not of the fleet.
    if (datacenter === undefined) return { name, area: '2', title: 'External clusters', degree };
    const value = groupOf(datacenter, by);
    if (value !== '') return { name, area: `0${value}`, title: value, degree };
    return { name, area: '1', title: by === byNothing ? '' : `no ${by.replace('@', '')}`, degree };
  });
}

function groupOf(datacenter: FleetDatacenter, by: string): string {
  switch (by) {
    case byNothing:
      return '';
    case byFederation:
      return datacenter.federation;
    case byRuntime:
      return datacenter.runtime;
  }
  return datacenter.labels[by] ?? '';
}

/** What of the map is looked for; empty fields look for everything. */
export interface Filter {
  /** A part of a name, without regard to case. */
  text: string;
  health: string;
  /** vm, kubernetes or external. */
  runtime: string;
  /** key=value. */
  label: string;
  /** peering or federation. */
  kind: string;
  verdict: string;
}

/** Tells what of a map a filter looks for. Links are looked for by their own fields, and stand between nodes of which one at least is. */
export function matching(map: FleetMap, filter: Filter): { nodes: Set<MapNode>; links: Set<MapLink> } {
  const text = filter.text.toLowerCase();
  const node = (n: MapNode) =>
    n.name.toLowerCase().includes(text) &&
    (filter.health === '' || healthOf(n) === filter.health) &&
    (filter.runtime === '' || runtimeOf(n) === filter.runtime) &&
    (filter.label === '' || hasLabel(n, filter.label));
  const own = new Set(map.nodes.filter(node));
  const links = map.links.filter(
    (l) =>
      (own.has(l.from) || own.has(l.to)) &&
      (filter.kind === '' || l.kind === filter.kind) &&
      (filter.verdict === '' || l.verdict === filter.verdict),
  );
  // Looking for connections, what they do not touch is not looked for.
  if (filter.kind !== '' || filter.verdict !== '') {
    const ends = new Set(links.flatMap((l) => [l.from, l.to]));
    return { nodes: new Set([...own].filter((n) => ends.has(n))), links: new Set(links) };
  }
  return { nodes: own, links: new Set(links) };
}

function hasLabel(node: MapNode, label: string): boolean {
  const equals = label.indexOf('=');
  return node.datacenter?.labels[label.slice(0, equals)] === label.slice(equals + 1);
}
