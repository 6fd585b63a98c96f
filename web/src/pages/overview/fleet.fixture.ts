// A fleet for tests: what is not said of a datacenter or link is as of one that is well.

import type { Fleet, FleetDatacenter, FleetLink } from '../../api/types';

export function dc(name: string, fields: Partial<FleetDatacenter> = {}): FleetDatacenter {
  return {
    name,
    labels: {},
    runtime: 'vm',
    consulVersion: '1.22.1',
    health: 'healthy',
    since: '2026-01-01T00:00:00Z',
    reason: 'Healthy',
    message: '',
    fix: '',
    servers: 3,
    leader: 'server-0',
    services: 2,
    federation: '',
    role: '',
    agents: 1,
    agentsOnline: 1,
    ...fields,
  };
}

export function link(a: string, b: string, fields: Partial<FleetLink> = {}): FleetLink {
  return {
    kind: 'peering',
    name: `${a}-${b}`,
    a,
    b,
    verdict: 'healthy',
    broken: '',
    since: '2026-01-01T00:00:00Z',
    reason: 'Healthy',
    message: '',
    ...fields,
  };
}

export function fleetOf(datacenters: FleetDatacenter[], links: FleetLink[] = []): Fleet {
  return { datacenters, links, time: '2026-01-01T01:00:00Z' };
}
