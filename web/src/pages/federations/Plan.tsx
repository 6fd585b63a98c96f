import { Badge, Button, Checkbox, Code, Group, List, Stack, Text, Title } from '@mantine/core';
import { type UseQueryResult, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { toYAML } from '../../api/apply';
import { federationPlan } from '../../api/queries';
import type { Federation, FederationPlan } from '../../api/types';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { DatacenterLink } from '../../kit/links';
import { Notice } from '../../kit/Notice';
import { Panel } from '../../kit/Panel';
import { Preview } from '../../kit/Preview';
import { useSession } from '../../shell/context';

type MemberPlan = FederationPlan['members'][number];
type Lost = MemberPlan['losses'][number];

/** What the federation means for each datacenter: what it loses, what restarts; and where losses are accepted. */
export function Plan({ query }: { query: UseQueryResult<Federation> }) {
  const plan = useQuery({ ...federationPlan(query.data?.name ?? ''), enabled: query.data !== undefined });
  return (
    <Panel title="What it means for each datacenter" query={plan}>
      {({ members }) => {
        const concerned = members.filter((m) => m.action !== 'none' || m.losses.length > 0 || m.blocked.length > 0);
        return (
          <Stack gap="lg">
            {concerned.length === 0 && (
              <Empty title="Nothing is to be done">Every datacenter of the federation is what it shall be.</Empty>
            )}
            {concerned.map((m) => (
              <Member key={m.datacenter} member={m} federation={query.data} />
            ))}
          </Stack>
        );
      }}
    </Panel>
  );
}

function Member({ member, federation }: { member: MemberPlan; federation: Federation | undefined }) {
  const { mayOperate } = useSession();
  return (
    <section aria-label={`Plan of ${member.datacenter}`}>
      <Stack gap="xs">
        <Group gap="xs">
          <Title order={3} size="h5">
            <DatacenterLink name={member.datacenter} />
          </Title>
          <Badge variant="default">{member.action}</Badge>
          {member.lossCount > 0 && (
            <Badge variant="default">
              {member.accepted === true ? 'losses accepted' : `${member.lossCount} things are lost`}
            </Badge>
          )}
        </Group>
        {member.known !== true && (
          <Notice title="Not known yet">Its agent has not told what it has: nothing is done before.</Notice>
        )}
        <Sentences title="Stands against it" lines={member.blocked} />
        <Sentences title="Restarts" lines={member.restarts} />
        <Sentences title="Afterwards" lines={member.becomes} />
        {member.losses.length > 0 && (
          <DataTable
            label={`losses of ${member.datacenter}`}
            rows={member.losses}
            columns={columns}
            rowKey={(l) => `${l.kind} ${l.name}`}
            prefix={`${member.datacenter}-`}
            height="40vh"
            empty={null}
          />
        )}
        {mayOperate && federation !== undefined && member.digest !== '' && member.accepted !== true && (
          // Other losses are to be read anew.
          <Accept key={member.digest} federation={federation} member={member} />
        )}
      </Stack>
    </section>
  );
}

function Sentences({ title, lines }: { title: string; lines: readonly string[] }) {
  if (lines.length === 0) return null;
  return (
    <div>
      <Text size="sm" fw={600}>
        {title}
      </Text>
      <List size="sm">
        {lines.map((line) => (
          <List.Item key={line}>{line}</List.Item>
        ))}
      </List>
    </div>
  );
}

const columns: Column<Lost>[] = [
  { id: 'kind', header: 'What', value: (l) => l.kind, facet: true },
  { id: 'name', header: 'Name', value: (l) => l.name, cell: (l) => <span className="mono">{l.name}</span> },
  { id: 'message', header: 'What becomes of it', value: (l) => l.message },
];

/** Accepts exactly the losses that are shown: the digest makes it void when the datacenter has something else by then. */
function Accept({ federation, member }: { federation: Federation; member: MemberPlan }) {
  const [read, setRead] = useState(false);
  const [shown, setShown] = useState('');
  const manifests = toYAML([
    {
      kind: 'Federation',
      name: federation.name,
      labels: federation.labels,
      spec: {
        ...federation.spec,
        acceptDataLoss: [
          ...(federation.spec?.acceptDataLoss ?? []).filter((a) => a.datacenter !== member.datacenter),
          { datacenter: member.datacenter, planDigest: member.digest },
        ],
      },
    },
  ]);
  if (shown !== '') return <Preview manifests={shown} action="Accept and join" onApplied={() => setShown('')} />;
  return (
    <Group align="flex-end">
      <Checkbox
        label={
          <>
            I have read it: {member.datacenter} loses {member.lossCount} things (digest{' '}
            <Code>{member.digest.slice(0, 12)}</Code>)
          </>
        }
        checked={read}
        onChange={(e) => setRead(e.currentTarget.checked)}
      />
      <Button disabled={!read} onClick={() => setShown(manifests)}>
        Accept…
      </Button>
    </Group>
  );
}
