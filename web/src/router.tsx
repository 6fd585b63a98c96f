// Every page, and where it is. Pages are loaded when they are first opened.

import { NuqsAdapter } from 'nuqs/adapters/react-router/v7';
import { createBrowserRouter, Outlet, type RouteObject } from 'react-router';
import { part } from './api/code';
import { NotFound } from './shell/NotFound';
import { PageError } from './shell/PageError';
import { Root } from './shell/Root';

type Page = () => Promise<{ default: React.ComponentType }>;

function page(path: string, load: Page): RouteObject {
  return { path, lazy: async () => ({ Component: (await part(load)).default }) };
}

export const router = createBrowserRouter([
  {
    element: (
      <NuqsAdapter>
        <Root>
          <Outlet />
        </Root>
      </NuqsAdapter>
    ),
    // Nothing to show while the first page's code comes.
    HydrateFallback: () => null,
    ErrorBoundary: PageError,
    children: [
      {
        // Around the pages, not theirs: of a route whose code did not come the router shows nothing, not even its boundary.
        ErrorBoundary: PageError,
        children: [
          page('/', () => import('./pages/overview/OverviewPage')),
          page('/datacenters', () => import('./pages/datacenters/DatacentersPage')),
          page('/datacenters/:name', () => import('./pages/datacenters/DatacenterPage')),
          page('/services', () => import('./pages/services/ServicesPage')),
          page('/explain', () => import('./pages/services/ExplainPage')),
          page('/federations', () => import('./pages/federations/FederationsPage')),
          page('/federations/:name', () => import('./pages/federations/FederationPage')),
          page('/peerings', () => import('./pages/peerings/PeeringsPage')),
          page('/peerings/new', () => import('./pages/peerings/NewPeeringPage')),
          page('/peerings/:name', () => import('./pages/peerings/PeeringPage')),
          page('/policies', () => import('./pages/policies/PoliciesPage')),
          page('/policies/new', () => import('./pages/policies/NewPolicyPage')),
          page('/policies/:kind/:name', () => import('./pages/policies/PolicyPage')),
          page('/doctor', () => import('./pages/doctor/DoctorPage')),
          page('/events', () => import('./pages/events/EventsPage')),
          page('/access', () => import('./pages/access/AccessPage')),
          { path: '*', Component: NotFound },
        ],
      },
    ],
  },
]);
