// Every question that pages ask, each with its key in the cache. The feed (feed.ts) finds by these keys what a change concerns.

import { queryOptions } from '@tanstack/react-query';
import { dryRun } from './apply';
import { answer, api } from './client';
import { type EventLog, grown } from './eventlog';
import { indexSeen } from './revision';
import type { Kind, Kinds } from './types';

/** The largest page that the API gives. */
const pageSize = 1000;

interface Page<T> {
  items: T[];
  next: string;
}

interface ListQuery {
  pageSize: number;
  pageToken?: string;
  minIndex: string;
  selector?: string;
}

const pages: { [K in Kind]: (query: ListQuery, signal: AbortSignal) => Promise<Page<Kinds[K]>> } = {
  Agent: async (query, signal) => {
    const r = await answer(api.GET('/v1/agents', { params: { query }, signal }));
    return { items: r.agents, next: r.nextPageToken };
  },
  APIToken: async (query, signal) => {
    const r = await answer(api.GET('/v1/api-tokens', { params: { query }, signal }));
    return { items: r.apiTokens, next: r.nextPageToken };
  },
  Datacenter: async (query, signal) => {
    const r = await answer(api.GET('/v1/datacenters', { params: { query }, signal }));
    return { items: r.datacenters, next: r.nextPageToken };
  },
  Federation: async (query, signal) => {
    const r = await answer(api.GET('/v1/federations', { params: { query }, signal }));
    return { items: r.federations, next: r.nextPageToken };
  },
  Gateway: async (query, signal) => {
    const r = await answer(api.GET('/v1/gateways', { params: { query }, signal }));
    return { items: r.gateways, next: r.nextPageToken };
  },
  Intention: async (query, signal) => {
    const r = await answer(api.GET('/v1/intentions', { params: { query }, signal }));
    return { items: r.intentions, next: r.nextPageToken };
  },
  JoinToken: async (query, signal) => {
    const r = await answer(api.GET('/v1/join-tokens', { params: { query }, signal }));
    return { items: r.joinTokens, next: r.nextPageToken };
  },
  Peering: async (query, signal) => {
    const r = await answer(api.GET('/v1/peerings', { params: { query }, signal }));
    return { items: r.peerings, next: r.nextPageToken };
  },
  PeeringGroup: async (query, signal) => {
    const r = await answer(api.GET('/v1/peering-groups', { params: { query }, signal }));
    return { items: r.peeringGroups, next: r.nextPageToken };
  },
  ServiceExport: async (query, signal) => {
    const r = await answer(api.GET('/v1/service-exports', { params: { query }, signal }));
    return { items: r.serviceExports, next: r.nextPageToken };
  },
  TrafficPolicy: async (query, signal) => {
    const r = await answer(api.GET('/v1/traffic-policies', { params: { query }, signal }));
    return { items: r.trafficPolicies, next: r.nextPageToken };
  },
};

async function everyPage<K extends Kind>(kind: K, signal: AbortSignal): Promise<Kinds[K][]> {
  const all: Kinds[K][] = [];
  let pageToken = '';
  do {
    const query: ListQuery = { pageSize, minIndex: indexSeen() };
    if (pageToken !== '') query.pageToken = pageToken;
    const page = await pages[kind](query, signal);
    all.push(...page.items);
    pageToken = page.next;
  } while (pageToken !== '');
  return all;
}

const ones: { [K in Kind]: (name: string, signal: AbortSignal) => Promise<Kinds[K]> } = {
  Agent: (name, signal) => answer(api.GET('/v1/agents/{name}', at(name, signal))),
  APIToken: (name, signal) => answer(api.GET('/v1/api-tokens/{name}', at(name, signal))),
  Datacenter: (name, signal) => answer(api.GET('/v1/datacenters/{name}', at(name, signal))),
  Federation: (name, signal) => answer(api.GET('/v1/federations/{name}', at(name, signal))),
  Gateway: (name, signal) => answer(api.GET('/v1/gateways/{name}', at(name, signal))),
  Intention: (name, signal) => answer(api.GET('/v1/intentions/{name}', at(name, signal))),
  JoinToken: (name, signal) => answer(api.GET('/v1/join-tokens/{name}', at(name, signal))),
  Peering: (name, signal) => answer(api.GET('/v1/peerings/{name}', at(name, signal))),
  PeeringGroup: (name, signal) => answer(api.GET('/v1/peering-groups/{name}', at(name, signal))),
  ServiceExport: (name, signal) => answer(api.GET('/v1/service-exports/{name}', at(name, signal))),
  TrafficPolicy: (name, signal) => answer(api.GET('/v1/traffic-policies/{name}', at(name, signal))),
};

function at(name: string, signal: AbortSignal) {
  return { params: { path: { name }, query: { minIndex: indexSeen() } }, signal };
}

/** All resources of a kind, in order of their names. */
export function list<K extends Kind>(kind: K) {
  return queryOptions({ queryKey: ['list', kind], queryFn: ({ signal }) => everyPage(kind, signal) });
}

/** One resource. */
export function one<K extends Kind>(kind: K, name: string) {
  return queryOptions({ queryKey: ['one', kind, name], queryFn: ({ signal }) => ones[kind](name, signal) });
}

/** How often the server counts for a trend (ms). */
const trendEvery = 10_000;

/** How many datacenters and connections were how over time: 1h or 24h back. */
export function trend(window: '1h' | '24h') {
  return queryOptions({
    queryKey: ['trend', window],
    queryFn: ({ signal }) => answer(api.GET('/v1/trend', { params: { query: { window } }, signal })),
    refetchInterval: trendEvery,
  });
}

/** All datacenters and connections with their verdicts: what a map shows. */
export function fleet() {
  return queryOptions({ queryKey: ['fleet'], queryFn: ({ signal }) => answer(api.GET('/v1/fleet', { signal })) });
}

export interface ServiceSearch {
  query: string;
  datacenter: string;
}

/** Services over all datacenters; the first 1,000 that match, and how many match. */
export function services(search: ServiceSearch) {
  return queryOptions({
    queryKey: ['services', search.query, search.datacenter],
    queryFn: ({ signal }) => answer(api.GET('/v1/services', { params: { query: { ...search, pageSize } }, signal })),
  });
}

/** How many services there are by name. */
export function serviceCount(datacenter: string) {
  return queryOptions({
    queryKey: ['services', { count: datacenter }],
    queryFn: async ({ signal }) =>
      (await answer(api.GET('/v1/services', { params: { query: { datacenter, pageSize: 1 } }, signal }))).total,
  });
}

/** What a datacenter's agents told, and what is wanted of it beside what is there. */
export function datacenterState(name: string) {
  return queryOptions({
    queryKey: ['state', name],
    queryFn: ({ signal }) => answer(api.GET('/v1/datacenters/{name}/state', at(name, signal))),
  });
}

/** What a resource was, in turn. */
export function history(kind: 'Peering' | 'Datacenter' | 'Federation', name: string) {
  return queryOptions({
    queryKey: ['history', kind, name],
    queryFn: ({ signal }) => answer(api.GET('/v1/history', { params: { query: { kind, name } }, signal })),
  });
}

export interface ConnectionFilter {
  datacenter?: string;
  kind?: string;
  name?: string;
  verdict?: string;
}

/** Connections with their evidence. */
export function connections(filter: ConnectionFilter) {
  return queryOptions({
    queryKey: ['connections', filter],
    queryFn: ({ signal }) => answer(api.GET('/v1/connections', { params: { query: filter }, signal })),
  });
}

/** The whole way of a call, hop by hop: service@datacenter to service@datacenter. */
export function explain(source: string, destination: string) {
  return queryOptions({
    queryKey: ['explain', source, destination],
    queryFn: ({ signal }) => answer(api.GET('/v1/explain', { params: { query: { source, destination } }, signal })),
  });
}

/** All checks; of one datacenter, when one is named. */
export function doctor(datacenter = '') {
  return queryOptions({
    queryKey: ['doctor', datacenter],
    queryFn: ({ signal }) => answer(api.GET('/v1/doctor', { params: { query: { datacenter } }, signal })),
  });
}

/** The WAN members as all datacenters see them. */
export function members(federation: string) {
  return queryOptions({
    queryKey: ['members', federation],
    queryFn: ({ signal }) => answer(api.GET('/v1/members', { params: { query: { federation } }, signal })),
  });
}

/** Who reaches whose gateways. */
export function reachability(federation: string) {
  return queryOptions({
    queryKey: ['reachability', federation],
    queryFn: ({ signal }) => answer(api.GET('/v1/reachability', { params: { query: { federation } }, signal })),
  });
}

/** What a federation would do to each datacenter, and cost it. */
export function federationPlan(name: string, deleting = false) {
  return queryOptions({
    queryKey: ['plan', name, deleting],
    queryFn: ({ signal }) =>
      answer(
        api.GET('/v1/federations/{name}/plan', { params: { path: { name }, query: { delete: deleting } }, signal }),
      ),
  });
}

export interface EventFilter {
  kind?: string;
  target?: string;
  actor?: string;
  action?: string;
}

/** How many events of the log are read at once. */
const eventLogPage = 100;

/** One page of the audit log, newest first. */
export function eventPage(filter: EventFilter, pageToken: string, pageSize = 50, signal?: AbortSignal) {
  const query = { ...filter, pageSize, descending: true, ...(pageToken === '' ? {} : { pageToken }) };
  return answer(api.GET('/v1/events', { params: { query }, signal }));
}

/** The newest events. */
export function events(filter: EventFilter, most = 20) {
  return queryOptions({
    queryKey: ['events', filter, most],
    queryFn: ({ signal }) => eventPage(filter, '', most, signal),
  });
}

/** The audit log, newest first, as far as it was read: see withOlder. */
export function eventLog(filter: EventFilter) {
  const queryKey = ['events', filter, 'log'];
  return queryOptions({
    queryKey,
    queryFn: ({ signal, client }) =>
      grown(
        () => client.getQueryData<EventLog>(queryKey),
        (pageToken) => eventPage(filter, pageToken, eventLogPage, signal),
      ),
  });
}

/** The page of it that comes before what was read. */
export function olderEvents(filter: EventFilter, { older }: EventLog) {
  return eventPage(filter, older, eventLogPage);
}

/** What the server says of itself. */
export function server() {
  return queryOptions({ queryKey: ['server'], queryFn: ({ signal }) => answer(api.GET('/v1/server', { signal })) });
}

/** The services in a datacenter's catalog, its own and those that it imports. */
export function datacenterServices(name: string) {
  return queryOptions({
    queryKey: ['services', { of: name }],
    queryFn: ({ signal }) => answer(api.GET('/v1/datacenters/{name}/services', at(name, signal))),
  });
}

/** The datacenters that a label selector chooses, by the server's own rules; what it says of a selector that does not parse is the error. */
export function selected(selector: string) {
  return queryOptions({
    queryKey: ['list', 'Datacenter', selector],
    queryFn: async ({ signal }) => {
      const query: ListQuery = { pageSize, minIndex: indexSeen(), selector };
      return (await pages.Datacenter(query, signal)).items;
    },
    retry: false,
  });
}

/** What manifests would change; force accepts that groups delete more peerings than their limit. */
export function wouldChange(manifests: string, force = false) {
  return queryOptions({
    queryKey: ['dry-run', manifests, force],
    queryFn: () => dryRun(manifests, force),
    // What it said is of that moment.
    gcTime: 0,
    staleTime: 0,
  });
}
