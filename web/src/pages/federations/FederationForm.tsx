import { MultiSelect, Select, Switch } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Manifest } from '../../api/apply';
import { list } from '../../api/queries';
import { DeclareDialogue, DeclareForm } from '../../kit/Declare';
import { Notice } from '../../kit/Notice';

/** Declares a federation; what it would do to each datacenter is shown before. */
export function FederationForm({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <DeclareDialogue opened={opened} onClose={onClose} title="Federate datacenters" size="xl">
      <Form onDone={onClose} />
    </DeclareDialogue>
  );
}

interface Draft {
  name: string;
  primary: string | null;
  secondaries: string[];
  mode: string;
  keyless: boolean;
}

const empty: Draft = { name: '', primary: null, secondaries: [], mode: 'mesh-gateway', keyless: false };

function manifestOf({ name, primary, secondaries, mode, keyless }: Draft): Manifest {
  return {
    kind: 'Federation',
    name: name.trim(),
    spec: { primary, secondaries, mode, ...(keyless ? { keyless } : {}) },
  };
}

/** As many are offered at once; typing finds the others. */
const offered = 200;

function Form({ onDone }: { onDone: () => void }) {
  const { data = [] } = useQuery(list('Datacenter'));
  const names = data.map((d) => d.name);
  const [draft, setDraft] = useState(empty);
  const set = (change: Partial<Draft>) => setDraft((d) => ({ ...d, ...change }));
  return (
    <DeclareForm
      manifest={() => manifestOf(draft)}
      name={draft.name}
      onName={(name) => set({ name })}
      ready={draft.primary !== null}
      page={(name) => `/federations/${name}?tab=plan`}
      onDone={onDone}
      warning={
        <Notice warning title="A datacenter that joins loses what is its own">
          Its ACLs, config entries and mesh CA are replaced by the primary&apos;s. Nothing happens before you accept
          what its plan lists, on the federation&apos;s page, and its agent&apos;s own host must allow the join.
        </Notice>
      }
    >
      <Select
        label="Primary"
        description="Its ACLs, config entries and mesh CA hold for all. It cannot be changed later."
        data={names}
        value={draft.primary}
        onChange={(primary) => set({ primary })}
        searchable
        required
        limit={offered}
      />
      <MultiSelect
        label="Secondaries"
        data={names.filter((n) => n !== draft.primary)}
        value={draft.secondaries}
        onChange={(secondaries) => set({ secondaries })}
        searchable
        limit={offered}
      />
      <How draft={draft} onChange={set} />
    </DeclareForm>
  );
}

function How({ draft, onChange }: { draft: Draft; onChange: (change: Partial<Draft>) => void }) {
  return (
    <>
      <Select
        label="How servers reach each other"
        data={[
          { value: 'mesh-gateway', label: 'Through mesh gateways' },
          { value: 'traditional', label: 'Directly (traditional)' },
        ]}
        value={draft.mode}
        onChange={(v) => onChange({ mode: v ?? empty.mode })}
        allowDeselect={false}
      />
      <Switch
        label="The key of the primary's CA stays there"
        description="It signs the secondaries' certificates instead of being handed to them."
        checked={draft.keyless}
        onChange={(e) => onChange({ keyless: e.currentTarget.checked })}
      />
    </>
  );
}
