import { Group, SegmentedControl, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { parseAsStringLiteral, useQueryState } from 'nuqs';
import { serverTime } from '../api/clock';
import { history } from '../api/queries';
import { Ago, useNow } from './Ago';
import { type Column, DataTable } from './DataTable';
import { Empty } from './Empty';
import classes from './history.module.css';
import { percent, shares, type Stretch, stretches, verdictLike, windows } from './history';
import { Panel } from './Panel';
import { StateBadge } from './StateBadge';
import { exact, parseTime, span } from './time';
import { verdictLook } from './verdict';

interface Props {
  kind: 'Peering' | 'Datacenter' | 'Federation';
  name: string;
}

const choices = Object.keys(windows);

/** What a resource was over time: a strip of its states, and the same as a table. The window stands in the address. */
export function HistoryPanel({ kind, name }: Props) {
  const query = useQuery(history(kind, name));
  const [window, setWindow] = useQueryState('window', parseAsStringLiteral(choices).withDefault('24 h'));
  // Ten seconds are less than the width of a line.
  const now = Math.floor(serverTime(useNow()) / 10_000) * 10_000;
  return (
    <Panel
      title="History"
      query={query}
      actions={
        <SegmentedControl
          size="xs"
          aria-label="How far back"
          data={choices}
          value={window}
          onChange={(v) => void setWindow(v)}
        />
      }
    >
      {({ spans }) => {
        const parts = stretches(spans, now, windows[window] ?? 0);
        if (parts.length === 0) {
          return (
            <Empty title="Nothing is known of this time">
              The history begins when the first agent reports; choose a longer window to see more.
            </Empty>
          );
        }
        const members = [...new Set(parts.map((p) => p.span.datacenter))].sort();
        return (
          <Stack gap="sm">
            {members.map((member) => (
              <Strip key={member} of={member} parts={parts.filter((p) => p.span.datacenter === member)} />
            ))}
            <DataTable
              label={`History of ${name}`}
              rows={parts.toReversed()}
              columns={members.length > 1 ? [memberColumn, ...columns] : columns}
              rowKey={(p) => `${p.span.datacenter} ${p.span.start ?? ''} ${p.state}`}
              empty={null}
              prefix="history-"
              searchable={false}
              height="22rem"
            />
          </Stack>
        );
      }}
    </Panel>
  );
}

/** States in turn: the wider the longer, the taller the worse. */
export function Strip({ parts, of = '' }: { parts: readonly Stretch[]; of?: string }) {
  const [first, last] = [parts[0], parts.at(-1)];
  if (first === undefined || last === undefined) return null;
  const said = shares(parts)
    .map((s) => `${s.state || 'unknown'} ${percent(s.share)}`)
    .join(', ');
  return (
    <div>
      <Group justify="space-between" gap="xs">
        <Text size="sm" fw={600}>
          {of}
        </Text>
        <Text size="sm" className="num">
          {said}
        </Text>
      </Group>
      <div
        className={classes.strip}
        role="img"
        aria-label={`${of} from ${exact(first.start)} to ${exact(last.end)}: ${said}`}
      >
        {parts.map((p) => {
          const look = verdictLook(verdictLike(p.state));
          return (
            <div
              key={`${p.start} ${p.state}`}
              className={classes.part}
              title={`${p.state} for ${span(p.end - p.start)}, from ${exact(p.start)}${p.span.message === '' ? '' : `\n${p.span.message}`}`}
              style={{
                flexGrow: Math.max(1, p.end - p.start),
                height: `${30 + Math.round((70 * look.weight) / 6)}%`,
                background: `var(--mantine-color-${look.color}-filled)`,
              }}
            />
          );
        })}
      </div>
      <Group justify="space-between">
        <Text size="xs" c="dimmed">
          <Ago time={first.start} />
        </Text>
        <Text size="xs" c="dimmed">
          {last.current ? 'now' : <Ago time={last.end} />}
        </Text>
      </Group>
    </div>
  );
}

const memberColumn: Column<Stretch> = {
  id: 'member',
  header: 'Datacenter',
  value: (p) => p.span.datacenter,
  facet: true,
};

const columns: Column<Stretch>[] = [
  {
    id: 'state',
    header: 'State',
    value: (p) => p.state,
    cell: (p) => <StateBadge state={p.state} look={verdictLook(verdictLike(p.state))} />,
  },
  { id: 'from', header: 'From', value: (p) => p.span.start ?? '', cell: (p) => <Ago time={p.span.start} /> },
  {
    id: 'for',
    header: 'For',
    value: (p) => {
      const [from, to] = [parseTime(p.span.start), p.end];
      return from === undefined ? '' : span(to - from) + (p.current ? ' so far' : '');
    },
  },
  { id: 'reason', header: 'Reason', value: (p) => p.span.reason },
  { id: 'message', header: 'Message', value: (p) => p.span.message },
];
