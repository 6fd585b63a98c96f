// What needs somebody first. Pure.

import { parseTime } from '../../kit/time';
import { verdictLook } from '../../kit/verdict';
import { type FleetMap, healthOf, isWrong, type MapLink, type MapNode } from './map';

/** One thing that is wrong: a datacenter with what follows from it, or a connection between two that are well. */
export type Concern = { node: MapNode; affected: MapLink[] } | { link: MapLink };

/**
 * Everything that is wrong, the worst first. The connections of a datacenter that is not well itself are told with it: most likely
 * they are what follows. What is only on its way is not wrong.
 */
export function concerns(map: FleetMap): Concern[] {
  const ill = (node: MapNode) => isWrong(healthOf(node)) && node.datacenter !== undefined;
  const wrong = (link: MapLink) => isWrong(link.verdict);
  const nodes = map.nodes.filter(ill).map((node) => ({ node, affected: node.links.filter(wrong) }));
  const links = map.links.filter((l) => wrong(l) && !ill(l.from) && !ill(l.to)).map((link) => ({ link }));
  return [...nodes, ...links].sort(worstFirst);
}

function worstFirst(a: Concern, b: Concern): number {
  return weight(b) - weight(a) || reach(b) - reach(a) || began(b) - began(a) || (idOf(a) < idOf(b) ? -1 : 1);
}

/** A datacenter weighs more than any connection, and as much more as the worst that follows from it. */
function weight(c: Concern): number {
  if ('link' in c) return verdictLook(c.link.verdict).weight;
  const own = verdictLook(healthOf(c.node)).weight;
  return 10 + Math.max(own, ...c.affected.map((l) => verdictLook(l.verdict).weight));
}

function reach(c: Concern): number {
  return 'link' in c ? 1 : c.affected.length;
}

function began(c: Concern): number {
  return parseTime('link' in c ? c.link.link.since : c.node.datacenter?.since) ?? 0;
}

/** The id of what it is about. */
export function idOf(c: Concern): string {
  return 'link' in c ? c.link.id : c.node.id;
}

/** How many there are of each word, the worst word first. */
export function countStates(states: Iterable<string>): [state: string, count: number][] {
  const count = new Map<string, number>();
  for (const state of states) count.set(state, (count.get(state) ?? 0) + 1);
  return [...count].sort(([a], [b]) => verdictLook(b).weight - verdictLook(a).weight || (a < b ? -1 : 1));
}
