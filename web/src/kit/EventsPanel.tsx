import { useQuery } from '@tanstack/react-query';
import { events } from '../api/queries';
import type { Event } from '../api/types';
import { Ago } from './Ago';
import { type Column, DataTable } from './DataTable';
import { Empty } from './Empty';
import { PageLink } from './links';
import { Panel } from './Panel';

const most = 100;

/** What was done to one resource, newest first: its part of the audit log. */
export function EventsPanel({ kind, target }: { kind: string; target: string }) {
  const query = useQuery(events({ kind, target }, most));
  const all = `/events?${new URLSearchParams({ kind, target }).toString()}`;
  return (
    <Panel title="Events" query={query} actions={<PageLink to={all}>In the audit log</PageLink>}>
      {(page) => (
        <DataTable
          label={`Events of ${target}`}
          rows={page.events}
          columns={columns}
          rowKey={(e) => e.name}
          empty={<Empty title="Nothing has happened yet" />}
          prefix="events-"
          searchable={false}
          height="22rem"
        />
      )}
    </Panel>
  );
}

const columns: Column<Event>[] = [
  { id: 'time', header: 'When', value: (e) => e.createTime ?? '', cell: (e) => <Ago time={e.createTime} /> },
  { id: 'actor', header: 'Who', value: (e) => e.spec?.actor ?? '' },
  { id: 'action', header: 'What', value: (e) => e.spec?.action ?? '' },
  { id: 'message', header: 'Message', value: (e) => e.spec?.message ?? '' },
];
