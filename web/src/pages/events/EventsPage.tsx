import { ActionIcon, Autocomplete, Button, Group, Stack, Text } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { IconChevronDown, IconChevronRight, IconDownload } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { parseAsString, useQueryStates } from 'nuqs';
import { useState } from 'react';
import { type EventLog, withOlder } from '../../api/eventlog';
import { eventLog, type EventFilter, olderEvents } from '../../api/queries';
import type { Event } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { Differences } from '../../kit/Differences';
import { Empty } from '../../kit/Empty';
import { ErrorNote } from '../../kit/ErrorNote';
import { Facts } from '../../kit/Facts';
import { ResourceLink } from '../../kit/links';
import { Page } from '../../kit/Page';
import { Panel } from '../../kit/Panel';
import { exportEvents } from './export';
import classes from './events.module.css';

const filters = {
  kind: parseAsString.withDefault(''),
  target: parseAsString.withDefault(''),
  actor: parseAsString.withDefault(''),
  action: parseAsString.withDefault(''),
};

const titles: Record<keyof typeof filters, [label: string, example: string]> = {
  kind: ['Kind', 'Peering'],
  target: ['Name', 'dc1-dc2'],
  actor: ['Actor', 'api-token/admin'],
  action: ['Action', 'update'],
};

/** The audit log, newest first, as it grows. */
export default function EventsPage() {
  const [filter, setFilter] = useQueryStates(filters);
  const query = useQuery(eventLog(filter));
  return (
    <Page title="Events" actions={<ExportButton filter={filter} />}>
      {/* Outside of what is loaded: whoever types is not interrupted. */}
      <Group gap="xs" align="flex-end">
        {(Object.keys(titles) as (keyof typeof filters)[]).map((field) => (
          <FilterInput
            key={field}
            label={titles[field][0]}
            placeholder={titles[field][1]}
            value={filter[field]}
            offered={offers(query.data?.events ?? [], field)}
            onChange={(value) => void setFilter({ [field]: value || null })}
          />
        ))}
      </Group>
      <Panel title="Audit log" query={query}>
        {(log) => <Log log={log} filter={filter} />}
      </Panel>
    </Page>
  );
}

/** The events that were read, and the way to older ones. */
function Log({ log, filter }: { log: EventLog; filter: EventFilter }) {
  const client = useQueryClient();
  const reading = useMutation({
    mutationFn: () => olderEvents(filter, log),
    onSuccess: (page) => {
      client.setQueryData(eventLog(filter).queryKey, (now) => (now?.older === log.older ? withOlder(now, page) : now));
    },
  });
  if (log.events.length === 0) {
    return <Empty title="No events">Nothing in the log matches. Take out a filter above.</Empty>;
  }
  return (
    <Stack gap="sm">
      <ol className={classes.log} aria-label="Events, newest first">
        {log.events.map((event) => (
          <Entry key={event.name} event={event} />
        ))}
      </ol>
      {reading.isError && <ErrorNote error={reading.error} />}
      {log.older !== '' && (
        <Button variant="default" w="fit-content" loading={reading.isPending} onClick={() => reading.mutate()}>
          Older events
        </Button>
      )}
    </Stack>
  );
}

function offers(events: readonly Event[], field: keyof typeof filters): string[] {
  return [...new Set(events.map((e) => e.spec?.[field] ?? ''))].filter((v) => v !== '').sort();
}

interface FilterProps {
  label: string;
  placeholder: string;
  value: string;
  /** What the events that are shown have there. */
  offered: string[];
  onChange: (value: string) => void;
}

/** Filters when typing pauses: each filter is a question to the server. */
function FilterInput({ label, placeholder, value, offered, onChange }: FilterProps) {
  const [text, setText] = useState(value);
  const [known, setKnown] = useState(value);
  const settle = useDebouncedCallback(onChange, 400);
  // It was set elsewhere: by a link, or by going back.
  if (value !== known) {
    setKnown(value);
    if (value !== text.trim()) setText(value);
  }
  return (
    <Autocomplete
      label={label}
      placeholder={placeholder}
      data={offered}
      limit={30}
      value={text}
      onChange={(typed) => {
        setText(typed);
        settle(typed.trim());
      }}
      onKeyDown={(e) => {
        if (e.key === 'Enter') onChange(text.trim());
      }}
      clearable
      clearButtonProps={{ 'aria-label': `Any ${label.toLowerCase()}` }}
      className={classes.filter}
    />
  );
}

function Entry({ event }: { event: Event }) {
  const [open, setOpen] = useState(false);
  const spec = event.spec;
  if (spec === undefined) return null;
  const title = `${spec.action} ${spec.kind} ${spec.target}`;
  return (
    <li className={classes.entry}>
      <Group gap="xs" wrap="nowrap" align="flex-start">
        <ActionIcon
          variant="subtle"
          color="gray"
          size="sm"
          aria-expanded={open}
          aria-label={`Details of event ${event.name}: ${title}`}
          onClick={() => setOpen(!open)}
        >
          {open ? <IconChevronDown size={16} /> : <IconChevronRight size={16} />}
        </ActionIcon>
        <div className={classes.line}>
          <span className={classes.when}>
            <Ago time={event.createTime} />
          </span>
          <span className={classes.what}>
            <b>{spec.action}</b> {spec.kind} <ResourceLink kind={spec.kind} name={spec.target} />
          </span>
          <span className={classes.who}>{spec.actor}</span>
          <span className={classes.message}>{spec.message}</span>
        </div>
      </Group>
      {open && (
        <Stack gap="xs" pl={34} py="xs">
          <Differences changes={spec.changes} />
          <Facts
            facts={[
              ['Number', event.name],
              ['Role', spec.role],
              ['Index', event.index],
              ['Request', spec.requestId === '' ? '' : <span className="mono">{spec.requestId}</span>],
              ['Hash', <span className="mono">{event.status?.hash ?? ''}</span>],
            ]}
          />
          {spec.changes.length === 0 && (
            <Text size="sm" c="dimmed">
              No field was changed by this, or it is from before fields were kept.
            </Text>
          )}
        </Stack>
      )}
    </li>
  );
}

function ExportButton({ filter }: { filter: EventFilter }) {
  const [busy, setBusy] = useState(false);
  return (
    <Button
      variant="default"
      leftSection={<IconDownload size={16} aria-hidden />}
      loading={busy}
      onClick={() => {
        setBusy(true);
        void exportEvents(filter).finally(() => setBusy(false));
      }}
    >
      Export
    </Button>
  );
}
