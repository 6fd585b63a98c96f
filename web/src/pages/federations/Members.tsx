import { List, Stack } from '@mantine/core';
import { type UseQueryResult, useQuery } from '@tanstack/react-query';
import { members } from '../../api/queries';
import type { Federation, FederationMember, MergedMember } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { DatacenterLink } from '../../kit/links';
import { Notice } from '../../kit/Notice';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { type Look, verdictLook, wanLook } from '../../kit/verdict';
import { words } from '../../kit/words';
import { memberState, seenBy } from './state';
import classes from './members.module.css';

/** Its datacenters on their way in, and its servers as `consul members -wan` shows them, from all sides. */
export function Members({ federation, query }: { federation: string; query: UseQueryResult<Federation> }) {
  const servers = useQuery(members(federation));
  return (
    <Stack>
      <Panel title="Datacenters" query={query}>
        {(f) => (
          <DataTable
            label="members"
            rows={f.status?.members ?? []}
            columns={datacenters}
            rowKey={(m) => m.datacenter}
            empty={<Empty title="Nobody has looked at it yet" />}
          />
        )}
      </Panel>
      <Panel title="Servers, as all datacenters see them" query={servers}>
        {(answer) => (
          <Stack gap="sm">
            {answer.gaps.length > 0 && (
              <Notice warning title="Not everybody's view is here">
                <List size="sm">
                  {answer.gaps.map((g) => (
                    <List.Item key={g.datacenter}>
                      {g.datacenter}: {g.message}
                    </List.Item>
                  ))}
                </List>
              </Notice>
            )}
            <DataTable
              label="WAN members"
              rows={answer.members}
              columns={[...wan, seenColumn(answer.members)]}
              rowKey={(m) => `${m.member?.node ?? ''} ${m.member?.datacenter ?? ''}`}
              prefix="wan-"
              empty={<Empty title="No server is known">Their agents tell when they reach their Consul.</Empty>}
            />
          </Stack>
        )}
      </Panel>
    </Stack>
  );
}

const answers = words<Look>({ ok: verdictLook('healthy'), failed: verdictLook('failing') });

const datacenters: Column<FederationMember>[] = [
  {
    id: 'datacenter',
    header: 'Datacenter',
    value: (m) => m.datacenter,
    cell: (m) => <DatacenterLink name={m.datacenter} />,
  },
  { id: 'role', header: 'Role', value: (m) => m.role, facet: true },
  {
    id: 'phase',
    header: 'Phase',
    value: (m) => memberState(m).state,
    order: (m) => -memberState(m).look.weight,
    facet: true,
    cell: (m) => <StateBadge {...memberState(m)} />,
  },
  { id: 'since', header: 'Since', value: (m) => m.phaseSince ?? '', cell: (m) => <Ago time={m.phaseSince} /> },
  {
    id: 'reads',
    header: 'Reads the primary',
    value: (m) => (m.role === 'primary' ? '' : m.readsPrimary),
    cell: (m) => (m.role === 'primary' ? '–' : <StateBadge state={m.readsPrimary} look={answers[m.readsPrimary]} />),
  },
  {
    id: 'read',
    header: 'Read by the primary',
    value: (m) => (m.role === 'primary' ? '' : m.readByPrimary),
    cell: (m) => (m.role === 'primary' ? '–' : <StateBadge state={m.readByPrimary} look={answers[m.readByPrimary]} />),
  },
  { id: 'message', header: 'Why', value: (m) => m.message },
];

const wan: Column<MergedMember>[] = [
  {
    id: 'node',
    header: 'Node',
    value: (m) => m.member?.node ?? '',
    cell: (m) => <span className={classes.whole}>{m.member?.node}</span>,
  },
  {
    id: 'address',
    header: 'Address',
    value: (m) => m.member?.address ?? '',
    cell: (m) => <span className={`mono ${classes.whole}`}>{m.member?.address}</span>,
  },
  {
    id: 'status',
    header: 'Status',
    value: (m) => m.views.map((v) => v.status).join(' / '),
    facet: true,
    cell: (m) =>
      m.views.length === 1 ? (
        <StateBadge state={m.views[0]?.status ?? 'unknown'} look={wanLook(m.views[0]?.status)} />
      ) : (
        <StateBadge state="disagreement" look={verdictLook('one-sided')} />
      ),
  },
  { id: 'datacenter', header: 'Datacenter', value: (m) => m.member?.datacenter ?? '', facet: true },
  { id: 'build', header: 'Build', value: (m) => m.member?.build ?? '', facet: true },
  { id: 'protocol', header: 'Protocol', value: (m) => m.member?.protocol ?? '' },
];

/** Who sees a server, and as what; all are those who see any. */
function seenColumn(all: readonly MergedMember[]): Column<MergedMember> {
  const seers = new Set(all.flatMap((m) => m.views.flatMap((v) => v.datacenters)));
  return { id: 'views', header: 'Seen by', value: (m) => seenBy(m, seers.size) };
}
