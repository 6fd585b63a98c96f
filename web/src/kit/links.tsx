import { Anchor } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { words } from './words';

const places = words<(name: string) => string>({
  Datacenter: (name) => `/datacenters/${name}`,
  Peering: (name) => `/peerings/${name}`,
  Federation: (name) => `/federations/${name}`,
  ServiceExport: (name) => `/policies/ServiceExport/${name}`,
  Intention: (name) => `/policies/Intention/${name}`,
  TrafficPolicy: (name) => `/policies/TrafficPolicy/${name}`,
  PeeringGroup: (name) => `/peerings?group=${name}`,
  Agent: (name) => `/access?tab=agents&q=${name}`,
  JoinToken: (name) => `/access?tab=join-tokens&q=${name}`,
  APIToken: (name) => `/access?tab=api-tokens&q=${name}`,
});

/** A resource by its name, with a link to its page where it has one. */
export function ResourceLink({ kind, name, children }: { kind: string; name: string; children?: ReactNode }) {
  const place = places[kind];
  if (place === undefined || name === '') return <>{children ?? name}</>;
  return (
    <Anchor component={Link} to={place(encodeURIComponent(name))} size="sm" underline="always">
      {children ?? name}
    </Anchor>
  );
}

/** A datacenter by its name; one that is not of the fleet (another operator's cluster) is no link. */
export function DatacenterLink({ name, external = false }: { name: string; external?: boolean }) {
  return external ? <>{name} (external)</> : <ResourceLink kind="Datacenter" name={name} />;
}
