import { Button, Group, Modal, Select, Stack, Text, TextInput } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { answer, api } from '../../api/client';
import { list } from '../../api/queries';
import type { APIToken } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { ConfirmButton } from '../../kit/ConfirmButton';
import { Command } from '../../kit/Copy';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { ErrorNote } from '../../kit/ErrorNote';
import { Notice } from '../../kit/Notice';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { verdictLook } from '../../kit/verdict';

/** Who may use the API, and this dashboard: admins only. */
export function APITokens() {
  const query = useQuery(list('APIToken'));
  const [opened, { open, close }] = useDisclosure();
  return (
    <Panel title="API tokens" query={query} actions={<Button onClick={open}>New API token</Button>}>
      {(tokens) => (
        <>
          <DataTable
            label="API tokens"
            rows={tokens}
            columns={columns}
            rowKey={(t) => t.uid}
            sort="name"
            empty={<Empty title="There are no API tokens">Then nobody could see this page.</Empty>}
          />
          <Modal opened={opened} onClose={close} title="New API token" closeButtonProps={{ 'aria-label': 'Close' }}>
            <NewToken />
          </Modal>
        </>
      )}
    </Panel>
  );
}

const columns: Column<APIToken>[] = [
  { id: 'name', header: 'Token', value: (t) => t.name, cell: (t) => <span className="mono">{t.name}</span> },
  { id: 'role', header: 'Role', value: (t) => t.spec?.role ?? '', facet: true },
  { id: 'description', header: 'For', value: (t) => t.spec?.description ?? '' },
  {
    id: 'state',
    header: 'State',
    value: (t) => t.status?.state ?? '',
    facet: true,
    cell: (t) => (
      <StateBadge
        state={t.status?.state ?? 'unknown'}
        look={verdictLook(t.status?.state === 'active' ? 'healthy' : 'stale')}
      />
    ),
  },
  { id: 'made', header: 'Made', value: (t) => t.createTime ?? '', cell: (t) => <Ago time={t.createTime} /> },
  {
    id: 'ends',
    header: 'Ends',
    value: (t) => t.spec?.expireTime ?? '',
    cell: (t) => <Ago time={t.spec?.expireTime} none="never" />,
  },
  { id: 'actions', header: 'Actions', value: () => '', cell: (t) => <RevokeToken token={t} /> },
];

function RevokeToken({ token: { name } }: { token: APIToken }) {
  return (
    <ConfirmButton
      title={`Revoke API token ${name}`}
      action="Revoke"
      typed={name}
      onConfirm={() => answer(api.DELETE('/v1/api-tokens/{name}', { params: { path: { name } } }))}
      inTable
    >
      <Text size="sm">Programs and people that use it are refused at once, and its browser sessions end.</Text>
    </ConfirmButton>
  );
}

const day = 86_400_000;
const lifetimes = [
  { value: '1', label: 'A day' },
  { value: '30', label: '30 days' },
  { value: '365', label: 'A year' },
  { value: '', label: 'Until revoked' },
];
type Role = 'viewer' | 'operator' | 'admin';
const roles: { value: Role; label: string }[] = [
  { value: 'viewer', label: 'Viewer: reads' },
  { value: 'operator', label: 'Operator: also declares, deletes, makes join tokens' },
  { value: 'admin', label: 'Admin: also says who may do what' },
];

function NewToken() {
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  const [description, setDescription] = useState('');
  const [days, setDays] = useState('30');
  const making = useMutation({
    mutationFn: () =>
      answer(
        api.POST('/v1/api-tokens', {
          body: {
            name,
            spec: {
              role,
              description,
              ...(days === '' ? {} : { expireTime: new Date(Date.now() + Number(days) * day).toISOString() }),
            },
          },
        }),
      ),
    // The secret lives in this dialogue and nowhere else.
    gcTime: 0,
  });
  if (making.data !== undefined) {
    return (
      <Stack>
        <Notice warning title="The secret is shown once">
          The server keeps its hash only. Put it where it is used, now.
        </Notice>
        <Command text={making.data.secret} what="the secret" />
      </Stack>
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        making.mutate();
      }}
    >
      <Stack>
        <TextInput
          label="Name"
          description="As the audit log will name it; left empty, it gets a random one."
          value={name}
          onChange={(e) => setName(e.currentTarget.value)}
        />
        <TextInput label="For" value={description} onChange={(e) => setDescription(e.currentTarget.value)} />
        <Select label="Role" data={roles} value={role} onChange={(v) => setRole(v ?? 'viewer')} allowDeselect={false} />
        <Select
          label="Good for"
          data={lifetimes}
          value={days}
          onChange={(v) => setDays(v ?? '')}
          allowDeselect={false}
        />
        {making.isError && <ErrorNote error={making.error} />}
        <Group justify="flex-end">
          <Button type="submit" loading={making.isPending}>
            Make the token
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
