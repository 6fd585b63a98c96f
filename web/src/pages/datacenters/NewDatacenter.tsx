import { Select, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Manifest } from '../../api/apply';
import { DeclareDialogue, DeclareForm } from '../../kit/Declare';
import { parseLabels } from '../../kit/labels';

/** Declares a datacenter; its agent is enrolled afterwards. */
export function NewDatacenter({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <DeclareDialogue opened={opened} onClose={onClose} title="Declare a datacenter">
      <Form onDone={onClose} />
    </DeclareDialogue>
  );
}

interface Draft {
  name: string;
  runtime: string;
  consulDatacenter: string;
  apiUrl: string;
  drift: string;
  labels: string;
}

const empty: Draft = { name: '', runtime: 'vm', consulDatacenter: '', apiUrl: '', drift: 'correct', labels: '' };

function manifestOf(d: Draft): Manifest {
  return {
    kind: 'Datacenter',
    name: d.name.trim(),
    labels: parseLabels(d.labels.split(',')),
    spec: {
      runtime: d.runtime,
      consulDatacenter: d.consulDatacenter.trim(),
      drift: d.drift === 'correct' ? '' : d.drift,
      kubernetes: d.runtime === 'kubernetes' ? { apiUrl: d.apiUrl.trim() } : undefined,
    },
  };
}

function Form({ onDone }: { onDone: () => void }) {
  const [draft, setDraft] = useState(empty);
  const set = (change: Partial<Draft>) => setDraft((d) => ({ ...d, ...change }));
  return (
    <DeclareForm
      manifest={() => manifestOf(draft)}
      name={draft.name}
      onName={(name) => set({ name })}
      page={(name) => `/datacenters/${name}`}
      onDone={onDone}
    >
      <Runtime draft={draft} onChange={set} />
      <TextInput
        label="Consul's own name for it"
        description="Left empty: the same."
        value={draft.consulDatacenter}
        onChange={(e) => set({ consulDatacenter: e.currentTarget.value })}
      />
      <TextInput
        label="Labels"
        placeholder="region=eu,env=prod"
        value={draft.labels}
        onChange={(e) => set({ labels: e.currentTarget.value })}
      />
      <Select
        label="When somebody changes in Consul what isthmus wrote"
        data={[
          { value: 'correct', label: 'Put it back' },
          { value: 'report', label: 'Only show it' },
        ]}
        value={draft.drift}
        onChange={(v) => set({ drift: v ?? empty.drift })}
        allowDeselect={false}
      />
    </DeclareForm>
  );
}

/** Where its Consul runs; in Kubernetes, where that is. */
function Runtime({ draft, onChange }: { draft: Draft; onChange: (change: Partial<Draft>) => void }) {
  return (
    <>
      <Select
        label="Runtime"
        data={[
          { value: 'vm', label: 'VMs or bare metal' },
          { value: 'kubernetes', label: 'Kubernetes' },
        ]}
        value={draft.runtime}
        onChange={(v) => onChange({ runtime: v ?? empty.runtime })}
        allowDeselect={false}
      />
      {draft.runtime === 'kubernetes' && (
        <TextInput
          label="Kubernetes API URL"
          description="As seen from the other datacenters."
          placeholder="https://k8s.example:6443"
          value={draft.apiUrl}
          onChange={(e) => onChange({ apiUrl: e.currentTarget.value })}
        />
      )}
    </>
  );
}
