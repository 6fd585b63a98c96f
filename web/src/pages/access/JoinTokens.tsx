import { Button, Group, Modal, NumberInput, Select, Stack, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconCircleCheck } from '@tabler/icons-react';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { answer, api } from '../../api/client';
import { list } from '../../api/queries';
import type { JoinToken } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { ConfirmButton } from '../../kit/ConfirmButton';
import { Command } from '../../kit/Copy';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { ErrorNote } from '../../kit/ErrorNote';
import { Labels } from '../../kit/Labels';
import { labelsText } from '../../kit/labels';
import { DatacenterLink } from '../../kit/links';
import { Notice } from '../../kit/Notice';
import { Panel } from '../../kit/Panel';
import { command } from '../../kit/shell';
import { StateBadge } from '../../kit/StateBadge';
import { type Look, verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';
import { useSession } from '../../shell/context';
import { useScope } from '../../shell/scope';
import classes from './access.module.css';

/** With what agents enrol: each token's use and end; never the token itself, but once to whoever makes it. */
export function JoinTokens() {
  const { mayOperate } = useSession();
  const { datacenter } = useScope();
  const query = useQuery(list('JoinToken'));
  const [opened, { open, close }] = useDisclosure();
  return (
    <Panel
      title="Join tokens"
      query={query}
      actions={mayOperate ? <Button onClick={open}>New join token</Button> : undefined}
    >
      {(all) => (
        <>
          <DataTable
            label="join tokens"
            rows={all.filter((t) => datacenter === '' || t.spec?.grant?.datacenter === datacenter)}
            columns={mayOperate ? [...columns, actions] : columns}
            rowKey={(t) => t.uid}
            sort="-ends"
            empty={
              <Empty title="There are no join tokens">
                An agent enrols with one. Those that the fleet key signs are made with{' '}
                <code>isthmus join-token create</code>; from here, agents have to be approved afterwards.
              </Empty>
            }
          />
          <Modal
            opened={opened}
            onClose={close}
            title="New join token"
            size="lg"
            closeButtonProps={{ 'aria-label': 'Close' }}
          >
            <NewJoinToken datacenter={datacenter} />
          </Modal>
        </>
      )}
    </Panel>
  );
}

const looks = words<Look>({
  active: verdictLook('healthy'),
  used: { color: 'gray', icon: IconCircleCheck, weight: 0 },
  expired: verdictLook('stale'),
});

const columns: Column<JoinToken>[] = [
  {
    id: 'name',
    header: 'Token',
    value: (t) => t.name,
    cell: (t) => <span className={`mono ${classes.name}`}>{t.name}</span>,
  },
  {
    id: 'datacenter',
    header: 'Datacenter',
    value: (t) => t.spec?.grant?.datacenter ?? '',
    facet: true,
    cell: (t) => <DatacenterLink name={t.spec?.grant?.datacenter ?? ''} />,
  },
  { id: 'kind', header: 'For', value: (t) => t.spec?.grant?.kind ?? '', facet: true },
  {
    id: 'state',
    header: 'State',
    value: (t) => t.status?.state ?? '',
    facet: true,
    cell: (t) => <StateBadge state={t.status?.state ?? 'unknown'} look={looks[t.status?.state ?? '']} />,
  },
  {
    id: 'uses',
    header: 'Uses',
    value: (t) => `${t.status?.uses ?? 0} of ${t.spec?.grant?.maxUses ?? 0}`,
  },
  {
    id: 'signed',
    header: 'Signed by',
    value: (t) => ((t.spec?.grant?.signature ?? '') === '' ? 'the server only' : 'a fleet key'),
    facet: true,
  },
  { id: 'used-by', header: 'Used by', value: (t) => (t.status?.usedBy ?? []).join(' ') },
  {
    id: 'labels',
    header: 'Labels',
    value: (t) => labelsText(t.labels),
    cell: (t) => <Labels labels={t.labels} />,
  },
  {
    id: 'ends',
    header: 'Ends',
    value: (t) => t.spec?.grant?.expireTime ?? '',
    cell: (t) => <Ago time={t.spec?.grant?.expireTime} />,
  },
];

const actions: Column<JoinToken> = {
  id: 'actions',
  header: 'Actions',
  value: () => '',
  cell: (t) => <RevokeJoinToken token={t} />,
};

function RevokeJoinToken({ token: { name } }: { token: JoinToken }) {
  return (
    <ConfirmButton
      title={`Revoke join token ${name}`}
      action="Revoke"
      onConfirm={() => answer(api.DELETE('/v1/join-tokens/{name}', { params: { path: { name } } }))}
      inTable
    >
      <Text size="sm">Nobody can enrol with it any more. Agents that did stay.</Text>
    </ConfirmButton>
  );
}

const lifetimes = [
  { value: '15m', label: '15 minutes' },
  { value: '1h', label: 'One hour' },
  { value: '24h', label: 'A day' },
];

/** What a join token is for. */
interface Draft {
  datacenter: string;
  kind: 'agent' | 'gateway';
  ttl: string;
  uses: number | string;
}

function NewJoinToken({ datacenter }: { datacenter: string }) {
  const [draft, setDraft] = useState<Draft>({ datacenter, kind: 'agent', ttl: '15m', uses: 1 });
  const minting = useMutation({
    mutationFn: () => answer(api.POST('/v1/join-tokens:mint', { body: { ...draft, uses: Number(draft.uses) || 1 } })),
    // The token lives in this dialogue and nowhere else.
    gcTime: 0,
  });
  if (minting.data !== undefined) {
    const { token, joinToken } = minting.data;
    return (
      <Minted token={token} kind={draft.kind} datacenter={joinToken?.spec?.grant?.datacenter ?? draft.datacenter} />
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        minting.mutate();
      }}
    >
      <Stack>
        <Fields draft={draft} onChange={(change) => setDraft((d) => ({ ...d, ...change }))} />
        <Text size="sm" c="dimmed">
          The server signs this one. A token that is trusted at once is made where the fleet key is:{' '}
          <code>isthmus join-token create</code>.
        </Text>
        {minting.isError && <ErrorNote error={minting.error} />}
        <Group justify="flex-end">
          <Button type="submit" loading={minting.isPending} disabled={draft.datacenter === ''}>
            Make the token
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Fields({ draft, onChange }: { draft: Draft; onChange: (change: Partial<Draft>) => void }) {
  const { data = [] } = useQuery(list('Datacenter'));
  return (
    <>
      <Select
        label="Datacenter"
        data={data.map((d) => d.name)}
        value={draft.datacenter || null}
        onChange={(v) => onChange({ datacenter: v ?? '' })}
        searchable
        required
        limit={200}
        nothingFoundMessage="No such datacenter: declare it first, under Datacenters"
      />
      <Select
        label="For"
        data={[
          { value: 'agent', label: 'An agent' },
          { value: 'gateway', label: 'A mesh gateway' },
        ]}
        value={draft.kind}
        onChange={(v) => onChange({ kind: v === 'gateway' ? v : 'agent' })}
        allowDeselect={false}
      />
      <Group grow align="flex-start">
        <Select
          label="Good for"
          data={lifetimes}
          value={draft.ttl}
          onChange={(v) => onChange({ ttl: v ?? '15m' })}
          allowDeselect={false}
        />
        <NumberInput label="Uses" value={draft.uses} onChange={(uses) => onChange({ uses })} min={1} max={1000} />
      </Group>
    </>
  );
}

/** The token, once, and what to do with it. */
function Minted({ token, kind, datacenter }: { token: string; kind: Draft['kind']; datacenter: string }) {
  const file = `${datacenter}.token`;
  return (
    <Stack>
      <Notice warning title="The token is shown once">
        Whoever has it can enrol in its place until it is used or ends. Hand it over in a file.
      </Notice>
      <Text size="sm">1. On the {kind}&apos;s host, into a file that only its user can read:</Text>
      <Command
        // A token is one line of letters: nothing after it is for the shell.
        text={command`(umask 077; cat > ${file} <<'END'` + `\n${token.replaceAll(/[^!-~]/g, '')}\nEND\n)`}
        what="the command that writes the token"
      />
      <Text size="sm">
        2. Start it there, with the id that <code>isthmus fleet show</code> prints where the fleet key is: without it
        the {kind} believes nobody&apos;s keys, and does no peerings.
      </Text>
      <Command
        text={command`isthmus ${kind} --data-dir ${`/var/lib/isthmus-${kind}`} --join-token-file ${file} --fleet-id SHA256:…`}
        what="the command that starts it"
      />
      <Text size="sm">
        3. Remove the file. Then approve what has enrolled: the server made this token, so nobody trusts its bearer
        until somebody with the fleet key says so. It appears under Agents, with the command.
      </Text>
    </Stack>
  );
}
