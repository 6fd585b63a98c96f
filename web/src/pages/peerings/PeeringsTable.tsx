import type { Peering } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { DatacenterLink, PageLink, ResourceLink } from '../../kit/links';
import { StateBadge } from '../../kit/StateBadge';
import { verdictLook } from '../../kit/verdict';
import { useSession } from '../../shell/context';
import { useScope } from '../../shell/scope';
import classes from './peerings.module.css';
import { brokenText, type End, endsOf, verdictOf } from './peering';

/** Peerings, those first that need somebody. */
export function PeeringsTable({ peerings }: { peerings: readonly Peering[] }) {
  const { mayOperate } = useSession();
  const { datacenter } = useScope();
  return (
    <DataTable
      label="Peerings"
      rows={peerings}
      columns={columns}
      rowKey={(p) => p.uid}
      sort="verdict"
      recycled
      empty={
        <Empty title={datacenter === '' ? 'No datacenters are peered yet' : `${datacenter} is peered with none`}>
          A peering lets the services of two datacenters call each other, while both stay independent.{' '}
          {mayOperate ? (
            <>
              <PageLink
                underlined
                to={`/peerings/new${datacenter === '' ? '' : `?acceptor=${encodeURIComponent(datacenter)}`}`}
              >
                Make one
              </PageLink>
              : the agents of both ends hand over the token, and nobody gets to see it.
            </>
          ) : (
            'An operator can make one.'
          )}
        </Empty>
      }
    />
  );
}

const columns: Column<Peering>[] = [
  {
    id: 'name',
    header: 'Name',
    value: (p) => p.name,
    cell: (p) => (
      <span className={classes.name}>
        <ResourceLink kind="Peering" name={p.name} />
      </span>
    ),
  },
  endColumn('acceptor', 'Acceptor', 0),
  endColumn('dialer', 'Dialer', 1),
  {
    id: 'verdict',
    header: 'Verdict',
    value: verdictOf,
    order: (p) => -verdictLook(verdictOf(p)).weight,
    facet: true,
    cell: (p) => <StateBadge state={verdictOf(p)} hint={hint(p)} />,
  },
  { id: 'state', header: 'Consul says', value: (p) => p.status?.state ?? '', facet: true },
  {
    id: 'since',
    header: 'Since',
    value: (p) => p.status?.verdictSince ?? '',
    cell: (p) => <Ago time={p.status?.verdictSince} />,
  },
  // The arrows go as the columns of the ends stand.
  servicesColumn('to-dialer', 'Services →', 0),
  servicesColumn('to-acceptor', 'Services ←', 1),
  { id: 'token', header: 'Token', value: (p) => p.status?.token?.generation ?? 0 },
  {
    id: 'group',
    header: 'Group',
    value: (p) => p.status?.group ?? '',
    facet: true,
    cell: (p) => <ResourceLink kind="PeeringGroup" name={p.status?.group ?? ''} />,
  },
  { id: 'reason', header: 'Reason', value: (p) => (verdictOf(p) === 'healthy' ? '' : (p.status?.reason ?? '')) },
];

function endColumn(id: string, header: string, i: 0 | 1): Column<Peering> {
  return {
    id,
    header,
    value: (p) => endsOf(p)[i].name,
    cell: (p) => <DatacenterLink name={endsOf(p)[i].name} external={endsOf(p)[i].external} />,
  };
}

/** How many services one end exports, and how many of them arrive. */
function servicesColumn(id: string, header: string, from: 0 | 1): Column<Peering> {
  return {
    id,
    header,
    value: (p) => {
      const ends = endsOf(p);
      return servicesText(ends[from], ends[from === 0 ? 1 : 0]);
    },
    cell: (p) => {
      const ends = endsOf(p);
      const [exporter, importer] = [ends[from], ends[from === 0 ? 1 : 0]];
      return (
        <span
          className="num"
          title={`${exporter.name} exports ${countOf(exporter, 'exportedServices')} services, ${importer.name} imports ${countOf(importer, 'importedServices')}`}
        >
          {servicesText(exporter, importer)}
        </span>
      );
    },
  };
}

function servicesText(exporter: End, importer: End): string {
  return `${countOf(importer, 'importedServices')} of ${countOf(exporter, 'exportedServices')}`;
}

function countOf(end: End, what: 'importedServices' | 'exportedServices'): number | string {
  return end.external || end.seen === undefined ? '?' : end.seen[what];
}

function hint(p: Peering): string {
  return [brokenText(p), p.status?.message ?? ''].filter((t) => t !== '').join(': ');
}
