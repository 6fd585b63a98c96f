import { Text, VisuallyHidden } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import type { Peering, PeeringEnd } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { Copyable } from '../../kit/Copy';
import { DatacenterLink } from '../../kit/links';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { type Look, verdictLook } from '../../kit/verdict';
import { type End, endsOf } from './peering';
import classes from './peerings.module.css';

/** What the agents of both ends saw, side by side. */
export function EndsPanel({ query }: { query: UseQueryResult<Peering> }) {
  return (
    <Panel title="Both ends" query={query}>
      {(p) => {
        const ends = endsOf(p);
        const rows = lines.flatMap(({ title, value }) => {
          const cells = ends.map(value);
          return cells.some((c) => c !== undefined) ? [{ title, cells }] : [];
        });
        return (
          <>
            <table className={classes.ends}>
              <thead>
                <tr>
                  <th scope="col">
                    <VisuallyHidden>Fact</VisuallyHidden>
                  </th>
                  {ends.map((e) => (
                    <th scope="col" key={e.side}>
                      <DatacenterLink name={e.name} external={e.external} />{' '}
                      <Text size="xs" c="dimmed" component="span">
                        {e.side}
                      </Text>
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {rows.map(({ title, cells }) => (
                  <tr key={title}>
                    <th scope="row">{title}</th>
                    <td>{cells[0] ?? '–'}</td>
                    <td>{cells[1] ?? '–'}</td>
                  </tr>
                ))}
              </tbody>
            </table>
            <IDs ends={ends} />
          </>
        );
      }}
    </Panel>
  );
}

/** Whether both ends are those of one peering. */
function IDs({ ends }: { ends: readonly [End, End] }) {
  const [a, b] = ends.map((e) => e.seen?.peerId ?? '');
  if (!a || !b) return null;
  const match = a === b;
  return (
    <Text size="sm" component="div">
      <StateBadge state={match ? 'match' : 'differ'} look={verdictLook(match ? 'healthy' : 'failing')} /> The peer ids
      of both ends {match ? 'are the same: they belong together.' : 'differ: the ends do not belong together.'}
    </Text>
  );
}

interface Line {
  title: string;
  /** undefined: nothing to say of this end. */
  value: (end: End) => ReactNode | undefined;
}

const seen = (value: (seen: PeeringEnd, end: End) => ReactNode | undefined) => (end: End) =>
  end.seen === undefined ? undefined : value(end.seen, end);

const since = (time: string | undefined) => (time === undefined ? undefined : <Ago time={time} />);

const lines: Line[] = [
  {
    title: 'Agent',
    value: (end) => {
      if (end.external) return 'another operator’s: its end is not seen';
      return end.seen?.seen === true ? 'reports' : 'is not heard of';
    },
  },
  {
    title: 'Consul says',
    value: seen((e) => <StateBadge state={e.state || 'none'} look={stateLook(e.state)} />),
  },
  { title: 'Since', value: seen((e) => since(e.since)) },
  {
    title: 'Heartbeat',
    value: seen((e) =>
      e.heartbeat === '' ? undefined : <StateBadge state={e.heartbeat} look={heartbeatLook(e.heartbeat)} />,
    ),
  },
  { title: 'Last heartbeat', value: seen((e) => since(e.heartbeatTime)) },
  { title: 'Last received', value: seen((e) => since(e.receiveTime)) },
  { title: 'Last sent', value: seen((e) => since(e.sendTime)) },
  { title: 'Peer’s name', value: (end) => (end.peerName === '' ? undefined : end.peerName) },
  {
    title: 'Peer id',
    value: seen((e, end) =>
      e.peerId === '' ? undefined : <Copyable text={e.peerId} what={`the peer id in ${end.name}`} />,
    ),
  },
  { title: 'Exports', value: seen((e) => services(e.exportedServices)) },
  { title: 'Imports', value: seen((e) => services(e.importedServices)) },
  { title: 'Token', value: seen((e) => (e.generation === 0 ? undefined : `generation ${e.generation}`)) },
  {
    title: 'Leader transfer',
    value: seen((e) =>
      e.leaderTransfer === 0 ? undefined : `${e.leaderTransfer}: ${e.leaderTransferError || 'done'}`,
    ),
  },
  {
    title: 'Error',
    value: seen((e) =>
      e.error === '' && e.errorReason === '' ? undefined : (
        <>
          <b>{e.errorReason}</b> {e.error}
        </>
      ),
    ),
  },
];

function services(n: number): string {
  return n === 1 ? '1 service' : `${n} services`;
}

/** Consul's own words. */
function stateLook(state: string): Look {
  switch (state) {
    case 'ACTIVE':
      return verdictLook('healthy');
    case 'PENDING':
    case 'ESTABLISHING':
      return verdictLook('pending');
    case 'FAILING':
    case 'TERMINATED':
      return verdictLook('failing');
    case 'DELETING':
      return verdictLook('deleting');
  }
  return verdictLook('unknown');
}

function heartbeatLook(heartbeat: string): Look {
  if (heartbeat === 'fresh') return verdictLook('healthy');
  return verdictLook(heartbeat === 'stale' ? 'stale' : 'pending');
}
