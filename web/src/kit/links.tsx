import type { MouseEvent, ReactNode } from 'react';
import { useNavigate } from 'react-router';
import classes from './links.module.css';
import { words } from './words';

interface Way {
  /** A path of this dashboard, from its root, with what it asks for. */
  to: string;
  /** What a row of a table is about. */
  strong?: boolean;
  /** In a text, where its colour would be the only sign. */
  underlined?: boolean;
  label?: string;
  children: ReactNode;
}

/** A way to a page. A plain element: the router's own would look at the address in each of a table's rows. */
export function PageLink({ to, strong = false, underlined = false, label, children }: Way) {
  const navigate = useNavigate();
  const follow = (event: MouseEvent) => {
    // With a key or another button the browser opens it elsewhere.
    if (event.button !== 0 || event.metaKey || event.altKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    void navigate(to, { replace: to === window.location.pathname + window.location.search });
  };
  return (
    <a
      href={to}
      onClick={follow}
      className={classes.link}
      data-strong={strong || undefined}
      data-underlined={underlined || undefined}
      aria-label={label}
    >
      {children}
    </a>
  );
}

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
    <PageLink to={place(encodeURIComponent(name))} underlined>
      {children ?? name}
    </PageLink>
  );
}

/** A datacenter by its name; one that is not of the fleet (another operator's cluster) is no link. */
export function DatacenterLink({ name, external = false }: { name: string; external?: boolean }) {
  return external ? <>{name} (external)</> : <ResourceLink kind="Datacenter" name={name} />;
}
