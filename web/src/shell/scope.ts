import { useLocation, useNavigate, useSearchParams } from 'react-router';

/** Where the datacenter that is looked at stands in the address: ?dc=dc1. */
export const scopeParam = 'dc';

export interface Scope {
  /** The datacenter that is looked at; empty: all. */
  datacenter: string;
  /** Looks at another one; among the datacenters, at that one's page. */
  choose: (datacenter: string) => void;
  /** A page's address that keeps the datacenter looked at. */
  scoped: (path: string) => string;
}

/** The datacenter that is looked at, everywhere: chosen at the top left, kept in the address from page to page. */
export function useScope(): Scope {
  const [params] = useSearchParams();
  const { pathname } = useLocation();
  const navigate = useNavigate();
  const own = datacenterAt(pathname);
  const datacenter = own ?? params.get(scopeParam) ?? '';

  const choose = (name: string) => {
    const next = new URLSearchParams(params);
    if (name === '') next.delete(scopeParam);
    else next.set(scopeParam, name);
    const list = own !== undefined || pathname === '/datacenters';
    const page = list ? `/datacenters${name === '' ? '' : `/${encodeURIComponent(name)}`}` : pathname;
    void navigate({ pathname: page, search: next.toString() });
  };
  const scoped = (path: string) =>
    datacenter === ''
      ? path
      : `${path}${path.includes('?') ? '&' : '?'}${new URLSearchParams({ [scopeParam]: datacenter }).toString()}`;
  return { datacenter, choose, scoped };
}

/** The datacenter that a page's address names; undefined: the page is not a datacenter's. What does not decode is taken as it is. */
export function datacenterAt(pathname: string): string | undefined {
  const part = /^\/datacenters\/([^/]+)$/.exec(pathname)?.[1];
  if (part === undefined) return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
