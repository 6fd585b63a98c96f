import { Button, Group, Modal, MultiSelect, Select, Stack, Switch, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { toYAML } from '../../api/apply';
import { fleet } from '../../api/queries';
import { Notice } from '../../kit/Notice';
import { Preview } from '../../kit/Preview';

/** Declares a federation; what it would do to each datacenter is shown before. */
export function FederationForm({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title="Federate datacenters"
      size="xl"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {opened && <Form onDone={onClose} />}
    </Modal>
  );
}

function Form({ onDone }: { onDone: () => void }) {
  const navigate = useNavigate();
  const { data } = useQuery(fleet());
  const names = data?.datacenters.map((d) => d.name) ?? [];
  const [name, setName] = useState('');
  const [primary, setPrimary] = useState<string | null>(null);
  const [secondaries, setSecondaries] = useState<string[]>([]);
  const [mode, setMode] = useState('mesh-gateway');
  const [keyless, setKeyless] = useState(false);
  const [manifests, setManifests] = useState('');
  if (manifests !== '') {
    return (
      <Stack>
        <Notice warning title="A datacenter that joins loses what is its own">
          Its ACLs, config entries and mesh CA are replaced by the primary&apos;s. Nothing happens before you accept
          what its plan lists, on the federation&apos;s page, and its agent&apos;s own host must allow the join.
        </Notice>
        <Preview
          manifests={manifests}
          action="Declare"
          onApplied={() => {
            onDone();
            void navigate(`/federations/${encodeURIComponent(name.trim())}?tab=plan`);
          }}
        />
        <Button variant="default" w="fit-content" onClick={() => setManifests('')}>
          Back
        </Button>
      </Stack>
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setManifests(
          toYAML([
            {
              kind: 'Federation',
              name: name.trim(),
              spec: { primary, secondaries, mode, ...(keyless ? { keyless } : {}) },
            },
          ]),
        );
      }}
    >
      <Stack>
        <TextInput label="Name" required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
        <Select
          label="Primary"
          description="Its ACLs, config entries and mesh CA hold for all. It cannot be changed later."
          data={names}
          value={primary}
          onChange={setPrimary}
          searchable
          required
          limit={200}
        />
        <MultiSelect
          label="Secondaries"
          data={names.filter((n) => n !== primary)}
          value={secondaries}
          onChange={setSecondaries}
          searchable
          limit={200}
        />
        <Select
          label="How servers reach each other"
          data={[
            { value: 'mesh-gateway', label: 'Through mesh gateways' },
            { value: 'traditional', label: 'Directly (traditional)' },
          ]}
          value={mode}
          onChange={(v) => setMode(v ?? 'mesh-gateway')}
          allowDeselect={false}
        />
        <Switch
          label="The key of the primary's CA stays there"
          description="It signs the secondaries' certificates instead of being handed to them."
          checked={keyless}
          onChange={(e) => setKeyless(e.currentTarget.checked)}
        />
        <Group justify="flex-end">
          <Button type="submit" disabled={name.trim() === '' || primary === null}>
            Show what would change
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
