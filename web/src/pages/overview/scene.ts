// What is drawn, and where: the map with its layout, as shapes. Pure.

import { verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';
import type { Layout, Point } from './layout';
import { type FleetMap, healthOf, isWrong, type MapLink, type MapNode, runtimeOf } from './map';

export type Shape = 'circle' | 'square' | 'diamond';

export interface SceneNode extends Point {
  node: MapNode;
  shape: Shape;
  /** Health; external for other operators' clusters. */
  state: string;
  title: string;
  subtitle: string;
  /** Not what is looked for. */
  faded: boolean;
}

export interface SceneLink {
  link: MapLink;
  from: Point;
  to: Point;
  faded: boolean;
}

/** Links that look the same, drawn together. */
export interface Strand {
  /** Verdict, kind and whether faded. */
  state: string;
  dashed: boolean;
  faded: boolean;
  links: SceneLink[];
}

export interface Title extends Point {
  text: string;
}

export interface Scene {
  nodes: SceneNode[];
  /** What matters most comes last, on top. */
  strands: Strand[];
  titles: Title[];
  find: ReadonlyMap<MapNode | MapLink, SceneNode | SceneLink>;
}

/** The radius of a node on the map. */
export const nodeRadius = 17;
/** Between links of the same two. */
const laneWidth = 9;

/** Shapes of a runtime; the same ones are in the legend. */
export const shapes = words<Shape>({ kubernetes: 'circle', vm: 'square', external: 'diamond' });

interface Match {
  nodes: ReadonlySet<MapNode>;
  links: ReadonlySet<MapLink>;
}

export function sceneOf(map: FleetMap, layout: Layout, match: Match): Scene {
  const nodes = map.nodes.map((node): SceneNode => {
    const { x, y } = layout.at.get(node.name) ?? { x: 0, y: 0 };
    const state = healthOf(node);
    const shape = shapes[runtimeOf(node)] ?? 'square';
    const faded = !match.nodes.has(node);
    return { node, x, y, shape, state, title: cut(node.name, 24), subtitle: subtitleOf(node), faded };
  });
  nodes.sort((a, b) => Number(b.faded) - Number(a.faded) || weight(a.state) - weight(b.state));
  const at = new Map(nodes.map((n) => [n.node, n]));
  const strands = new Map<string, Strand>();
  const links = map.links.flatMap((link) => {
    const [from, to] = [at.get(link.from), at.get(link.to)];
    if (from === undefined || to === undefined) return [];
    const faded = !match.links.has(link);
    const drawn = { link, faded, ...beside(from, to, link) };
    const key = `${link.verdict} ${link.kind} ${faded}`;
    const strand = strands.get(key) ?? { state: link.verdict, dashed: link.kind === 'federation', faded, links: [] };
    strand.links.push(drawn);
    strands.set(key, strand);
    return [drawn];
  });
  return {
    nodes,
    strands: [...strands.values()].sort(
      (a, b) => Number(b.faded) - Number(a.faded) || weight(a.state) - weight(b.state),
    ),
    titles: titlesOf(layout),
    find: new Map<MapNode | MapLink, SceneNode | SceneLink>([
      ...nodes.map((n) => [n.node, n] as const),
      ...links.map((l) => [l.link, l] as const),
    ]),
  };
}

function weight(state: string): number {
  return state === 'external' ? -1 : verdictLook(state).weight;
}

function subtitleOf({ datacenter }: MapNode): string {
  if (datacenter === undefined) return 'external';
  const runtime = datacenter.runtime === 'kubernetes' ? 'Kubernetes' : 'VM';
  return datacenter.consulVersion === '' ? runtime : `${runtime} · ${cut(datacenter.consulVersion, 16)}`;
}

/** The ends of a link, moved aside where several connect the same two. */
function beside(from: Point, to: Point, link: MapLink): { from: Point; to: Point } {
  // The same side whichever end comes first.
  const aside = (link.lane - (link.lanes - 1) / 2) * laneWidth * (link.a < link.b ? 1 : -1);
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const x = (-(to.y - from.y) / length) * aside;
  const y = ((to.x - from.x) / length) * aside;
  return { from: { x: from.x + x, y: from.y + y }, to: { x: to.x + x, y: to.y + y } };
}

function titlesOf(layout: Layout): Title[] {
  return layout.areas.flatMap((area, index) => {
    if (area.title === '') return [];
    const text = cut(area.title, 32);
    if (area.label !== undefined) return [{ ...area.label, text }];
    const own = [...layout.at.values()].filter((p) => p.area === index);
    if (own.length === 0) return [];
    const xs = own.map((p) => p.x);
    const y = Math.min(...own.map((p) => p.y)) - nodeRadius - 22;
    return [{ x: (Math.min(...xs) + Math.max(...xs)) / 2, y, text }];
  });
}

/** Text from the fleet as long as there is room for it. */
export function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** What is at a point of the map: a node before a link. reach is how far off (in the map's units) still counts. */
export function hit(scene: Scene, at: Point, reach: number): MapNode | MapLink | undefined {
  return hitNode(scene, at, Math.max(nodeRadius, reach)) ?? hitLink(scene, at, reach);
}

function hitNode(scene: Scene, at: Point, reach: number): MapNode | undefined {
  let nearest: MapNode | undefined;
  let least = reach;
  for (const n of scene.nodes) {
    const distance = Math.hypot(n.x - at.x, n.y - at.y);
    if (n.faded || distance > least) continue;
    least = distance;
    nearest = n.node;
  }
  return nearest;
}

function hitLink(scene: Scene, at: Point, reach: number): MapLink | undefined {
  let nearest: MapLink | undefined;
  let least = reach;
  // Those on top first; of the others only when they are nearer.
  for (const { faded, links } of scene.strands.toReversed()) {
    if (faded) continue;
    for (const l of links) {
      const distance = toSegment(at, l.from, l.to);
      if (distance >= least) continue;
      least = distance;
      nearest = l.link;
    }
    if (nearest !== undefined && isWrong(nearest.verdict)) return nearest;
  }
  return nearest;
}

function toSegment(p: Point, a: Point, b: Point): number {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const along = ((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy || 1);
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}
