import { Button, Group, Modal, Select, Stack, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { type Manifest, toYAML } from '../../api/apply';
import { parseLabels } from '../../kit/labels';
import { Preview } from '../../kit/Preview';

/** Declares a datacenter; its agent is enrolled afterwards. */
export function NewDatacenter({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title="Declare a datacenter"
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {opened && <Form onDone={onClose} />}
    </Modal>
  );
}

function Form({ onDone }: { onDone: () => void }) {
  const navigate = useNavigate();
  const [name, setName] = useState('');
  const [runtime, setRuntime] = useState('vm');
  const [consulDatacenter, setConsulDatacenter] = useState('');
  const [apiUrl, setApiUrl] = useState('');
  const [drift, setDrift] = useState('correct');
  const [labels, setLabels] = useState('');
  const [manifests, setManifests] = useState('');
  const wrong = parseLabels(labels).wrong;
  if (manifests !== '') {
    return (
      <Stack>
        <Preview
          manifests={manifests}
          action="Declare"
          onApplied={() => {
            onDone();
            void navigate(`/datacenters/${encodeURIComponent(name.trim())}`);
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
        const manifest: Manifest = {
          kind: 'Datacenter',
          name: name.trim(),
          labels: parseLabels(labels).labels,
          spec: {
            runtime,
            consulDatacenter: consulDatacenter.trim(),
            drift: drift === 'correct' ? '' : drift,
            kubernetes: runtime === 'kubernetes' ? { apiUrl: apiUrl.trim() } : undefined,
          },
        };
        setManifests(toYAML([manifest]));
      }}
    >
      <Stack>
        <TextInput label="Name" required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
        <Select
          label="Runtime"
          data={[
            { value: 'vm', label: 'VMs or bare metal' },
            { value: 'kubernetes', label: 'Kubernetes' },
          ]}
          value={runtime}
          onChange={(v) => setRuntime(v ?? 'vm')}
          allowDeselect={false}
        />
        {runtime === 'kubernetes' && (
          <TextInput
            label="Kubernetes API URL"
            description="As seen from the other datacenters."
            placeholder="https://k8s.example:6443"
            value={apiUrl}
            onChange={(e) => setApiUrl(e.currentTarget.value)}
          />
        )}
        <TextInput
          label="Consul's own name for it"
          description="Left empty: the same."
          value={consulDatacenter}
          onChange={(e) => setConsulDatacenter(e.currentTarget.value)}
        />
        <TextInput
          label="Labels"
          placeholder="region=eu,env=prod"
          value={labels}
          error={wrong === '' ? undefined : `${wrong} is not key=value`}
          onChange={(e) => setLabels(e.currentTarget.value)}
        />
        <Select
          label="When somebody changes in Consul what isthmus wrote"
          data={[
            { value: 'correct', label: 'Put it back' },
            { value: 'report', label: 'Only show it' },
          ]}
          value={drift}
          onChange={(v) => setDrift(v ?? 'correct')}
          allowDeselect={false}
        />
        <Group justify="flex-end">
          <Button type="submit" disabled={name.trim() === '' || wrong !== ''}>
            Show what would change
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
