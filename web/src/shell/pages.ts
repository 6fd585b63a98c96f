import {
  IconActivity,
  IconAffiliate,
  IconArrowsLeftRight,
  IconHistory,
  IconKey,
  IconServer2,
  IconShieldCheck,
  IconStethoscope,
  IconTopologyStar3,
} from '@tabler/icons-react';

/** What the navigation has, in its order. */
export const pages = [
  { path: '/', title: 'Overview', icon: IconAffiliate },
  { path: '/datacenters', title: 'Datacenters', icon: IconServer2 },
  { path: '/services', title: 'Services', icon: IconActivity },
  { path: '/federations', title: 'Federations', icon: IconTopologyStar3 },
  { path: '/peerings', title: 'Peerings', icon: IconArrowsLeftRight },
  { path: '/policies', title: 'Policies', icon: IconShieldCheck },
  { path: '/doctor', title: 'Doctor', icon: IconStethoscope },
  { path: '/events', title: 'Events', icon: IconHistory },
  { path: '/access', title: 'Access', icon: IconKey },
] as const;

/** Which of them an address belongs to; empty: none. */
export function pageOf(pathname: string): string {
  if (pathname === '/explain') return '/services';
  const first = `/${pathname.split('/')[1] ?? ''}`;
  return pages.find((p) => p.path === first)?.path ?? '';
}
