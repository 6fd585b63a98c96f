import { Autocomplete, Button, Group, List, Stack, Text, Timeline, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { parseAsString, useQueryStates } from 'nuqs';
import { useMemo, useState } from 'react';
import { explain, services } from '../../api/queries';
import type { Explanation } from '../../api/types';
import { Empty } from '../../kit/Empty';
import { DatacenterLink } from '../../kit/links';
import { Notice } from '../../kit/Notice';
import { Page } from '../../kit/Page';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { answerLook, type Look, verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';
import { address } from './places';

const params = {
  from: parseAsString.withDefault(''),
  to: parseAsString.withDefault(''),
  fromDatacenter: parseAsString.withDefault(''),
};

/** Whether and how one service reaches another: hop by hop, with the first that fails and its fix. */
export default function ExplainPage() {
  const [{ from, to, fromDatacenter }, setParams] = useQueryStates(params, { history: 'push' });
  const asked = from !== '' && to !== '';
  const query = useQuery({ ...explain(from, to), enabled: asked, retry: false });
  return (
    <Page title="Explain">
      <Ask
        key={`${from} ${to}`}
        from={from}
        to={to}
        fromDatacenter={fromDatacenter}
        onAsk={(next) => void setParams({ ...next, fromDatacenter: null })}
      />
      {asked ? (
        <Panel title={`${from} → ${to}`} query={query}>
          {(explanation) => <Way explanation={explanation} />}
        </Panel>
      ) : (
        <Empty title="From which service to which?">
          Name both as service@datacenter. Every hop on the way is looked at: names, health, export, connection,
          intention, resolver, gateways, certificates.
        </Empty>
      )}
    </Page>
  );
}

interface AskProps {
  from: string;
  to: string;
  fromDatacenter: string;
  onAsk: (next: { from: string; to: string }) => void;
}

function Ask({ from, to, fromDatacenter, onAsk }: AskProps) {
  const { data } = useQuery(services({ query: '', datacenter: '' }));
  const [source, setSource] = useState(from);
  const [destination, setDestination] = useState(to);
  const all = useMemo(
    () =>
      [
        ...new Set(
          (data?.services ?? []).flatMap((s) =>
            s.places.filter((p) => p.peer === '').map((p) => address(s, p.datacenter)),
          ),
        ),
      ].sort(),
    [data],
  );
  const sources = fromDatacenter === '' ? all : all.filter((a) => a.endsWith(`@${fromDatacenter}`));
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onAsk({ from: source.trim(), to: destination.trim() });
      }}
    >
      <Group align="flex-end">
        <Autocomplete
          label="From"
          placeholder="web@dc1"
          data={sources.length === 0 ? all : sources}
          limit={50}
          value={source}
          onChange={setSource}
          w={260}
        />
        <Autocomplete
          label="To"
          placeholder="api@dc2"
          data={all}
          limit={50}
          value={destination}
          onChange={setDestination}
          w={260}
        />
        <Button type="submit" disabled={source.trim() === '' || destination.trim() === ''}>
          Explain
        </Button>
      </Group>
    </form>
  );
}

const verdicts = words<Look>({
  allowed: verdictLook('healthy'),
  denied: verdictLook('stale'),
  broken: verdictLook('failing'),
});

function Way({ explanation }: { explanation: Explanation }) {
  const { hops, verdict, message, fix } = explanation;
  const firstFailing = hops.findIndex((h) => h.verdict === 'fail');
  return (
    <Stack>
      <Group gap="sm">
        <StateBadge state={verdict} look={verdicts[verdict] ?? verdictLook('unknown')} />
        <Text>{message}</Text>
      </Group>
      {fix !== '' && (
        <Notice title="What to do" warning={verdict === 'broken'}>
          {fix}
        </Notice>
      )}
      <Timeline active={firstFailing < 0 ? hops.length : firstFailing} bulletSize={26} lineWidth={2}>
        {hops.map((hop, i) => {
          const { icon: Icon, color } = answerLook(hop.verdict);
          return (
            <Timeline.Item
              key={hop.id}
              color={color}
              bullet={<Icon size={16} aria-hidden />}
              title={
                <Group gap="xs">
                  <Title order={3} size="h5">
                    {hop.title}
                  </Title>
                  <StateBadge state={hop.verdict} look={answerLook(hop.verdict)} />
                  {hop.datacenter !== '' && <DatacenterLink name={hop.datacenter} />}
                </Group>
              }
            >
              <Text size="sm" fw={i === firstFailing ? 600 : undefined} style={{ overflowWrap: 'anywhere' }}>
                {hop.message}
              </Text>
              {hop.fix !== '' && hop.verdict !== 'pass' && (
                <Text size="sm">
                  <b>Fix:</b> {hop.fix}
                </Text>
              )}
              {hop.evidence.length > 0 && (
                <List size="sm" c="dimmed" withPadding>
                  {hop.evidence.map((line) => (
                    <List.Item key={line} style={{ overflowWrap: 'anywhere' }}>
                      {line}
                    </List.Item>
                  ))}
                </List>
              )}
            </Timeline.Item>
          );
        })}
      </Timeline>
    </Stack>
  );
}
