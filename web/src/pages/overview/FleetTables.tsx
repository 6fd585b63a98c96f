import { ActionIcon, Group, Stack, Title } from '@mantine/core';
import { IconFocusCentered } from '@tabler/icons-react';
import { type ReactNode, useMemo } from 'react';
import { Ago } from '../../kit/Ago';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { DatacenterLink, ResourceLink } from '../../kit/links';
import { StateBadge } from '../../kit/StateBadge';
import { verdictLook } from '../../kit/verdict';
import classes from './graph.module.css';
import { healthOf, type MapLink, type MapNode, runtimeOf } from './map';
import { brokenMark, kindName } from './words';

interface Props {
  /** What the map shows, as far as it is looked for. */
  match: { nodes: Set<MapNode>; links: Set<MapLink> };
  onShow: (id: string) => void;
}

/** The same as the map, to read: its datacenters, and its connections that are not healthy. */
export function FleetTables({ match, onShow }: Props) {
  const nodes = useMemo(() => [...match.nodes], [match]);
  const links = useMemo(() => [...match.links].filter((l) => l.verdict !== 'healthy'), [match]);
  const nodeColumns = useMemo(() => columnsOfNodes(onShow), [onShow]);
  const linkColumns = useMemo(() => columnsOfLinks(onShow), [onShow]);
  return (
    <Stack gap="sm">
      <Title order={3} size="h5">
        Connections that are not healthy
      </Title>
      <DataTable
        label="connections that are not healthy"
        rows={links}
        columns={linkColumns}
        rowKey={(l) => l.id}
        prefix="link-"
        sort="verdict"
        searchable={false}
        recycled
        height="40vh"
        empty={<Empty title="None">All connections that the map shows are healthy.</Empty>}
      />
      <Title order={3} size="h5">
        Datacenters
      </Title>
      <DataTable
        label="datacenters on the map"
        rows={nodes}
        columns={nodeColumns}
        rowKey={(n) => n.id}
        prefix="dc-"
        sort="health"
        searchable={false}
        recycled
        height="40vh"
        empty={<Empty title="Nothing matches">Take out a filter of the map.</Empty>}
      />
    </Stack>
  );
}

/** A name, after a button that shows it on the map. */
function Named({ name, onShow, children }: { name: string; onShow: () => void; children: ReactNode }) {
  return (
    <Group gap={6} wrap="nowrap" className={classes.named}>
      <ActionIcon variant="subtle" size="sm" aria-label={`Show ${name} on the map`} onClick={onShow}>
        <IconFocusCentered size={14} />
      </ActionIcon>
      {children}
    </Group>
  );
}

function columnsOfNodes(onShow: (id: string) => void): Column<MapNode>[] {
  return [
    {
      id: 'name',
      header: 'Datacenter',
      value: (n) => n.name,
      cell: (n) => (
        <Named name={n.name} onShow={() => onShow(n.id)}>
          <DatacenterLink name={n.name} external={n.datacenter === undefined} />
        </Named>
      ),
    },
    {
      id: 'health',
      header: 'Health',
      value: (n) => healthOf(n),
      order: (n) => (n.datacenter === undefined ? 1 : -verdictLook(n.datacenter.health).weight),
      cell: (n) => (n.datacenter === undefined ? '–' : <StateBadge state={n.datacenter.health} />),
    },
    { id: 'reason', header: 'Reason', value: (n) => n.datacenter?.reason ?? '' },
    {
      id: 'since',
      header: 'Since',
      value: (n) => n.datacenter?.since ?? '',
      cell: (n) => <Ago time={n.datacenter?.since} />,
    },
    { id: 'runtime', header: 'Runtime', value: runtimeOf },
    { id: 'consul', header: 'Consul', value: (n) => n.datacenter?.consulVersion ?? '' },
    {
      id: 'federation',
      header: 'Federation',
      value: (n) => n.datacenter?.federation ?? '',
      cell: (n) => <ResourceLink kind="Federation" name={n.datacenter?.federation ?? ''} />,
    },
    { id: 'connections', header: 'Connections', value: (n) => n.links.length },
    { id: 'services', header: 'Services', value: (n) => n.datacenter?.services ?? 0 },
  ];
}

function columnsOfLinks(onShow: (id: string) => void): Column<MapLink>[] {
  return [
    {
      id: 'name',
      header: 'Connection',
      value: (l) => l.name,
      cell: (l) => (
        <Named name={`${l.kind} ${l.name}, ${l.a} – ${l.b}`} onShow={() => onShow(l.id)}>
          <ResourceLink kind={kindName(l.kind)} name={l.name} />
        </Named>
      ),
    },
    { id: 'kind', header: 'Kind', value: (l) => l.kind },
    {
      id: 'between',
      header: 'Between',
      value: (l) => `${l.a} – ${l.b}`,
      cell: (l) => <span className={classes.named}>{`${l.a} – ${l.b}`}</span>,
    },
    {
      id: 'verdict',
      header: 'Verdict',
      value: (l) => l.verdict,
      order: (l) => -verdictLook(l.verdict).weight,
      cell: (l) => <StateBadge state={l.verdict} />,
    },
    { id: 'broken', header: 'Nothing arrives', value: brokenMark },
    { id: 'since', header: 'Since', value: (l) => l.link.since ?? '', cell: (l) => <Ago time={l.link.since} /> },
    { id: 'reason', header: 'Reason', value: (l) => l.link.reason },
  ];
}
