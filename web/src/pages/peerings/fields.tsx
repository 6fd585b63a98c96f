import { Select, SimpleGrid, TagsInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { list } from '../../api/queries';
import { type Draft, errorAt } from './draft';
import { healModes } from './HealingPanel';

export interface FormProps {
  draft: Draft;
  onChange: (change: Partial<Draft>) => void;
  /** What the server says of each field, by its path. */
  errors: Readonly<Record<string, string>>;
}

/** As many are offered at once; typing finds the others. */
const offered = 50;

/** One datacenter of the fleet. */
export function DatacenterSelect({ label, description, value, onChange, error, without }: SelectProps) {
  const { data = [] } = useQuery(list('Datacenter'));
  return (
    <Select
      label={label}
      description={description}
      data={data.map((d) => d.name).filter((name) => name !== without)}
      value={value === '' ? null : value}
      onChange={(v) => onChange(v ?? '')}
      error={error}
      limit={offered}
      // Within the page's landmarks.
      comboboxProps={{ withinPortal: false }}
      searchable
      clearable
      clearButtonProps={{ 'aria-label': `No ${label}` }}
      nothingFoundMessage="No datacenter of that name. Datacenters are declared with isthmus apply."
      required
      withAsterisk
    />
  );
}

interface SelectProps {
  label: string;
  description: string;
  value: string;
  onChange: (name: string) => void;
  error: string | undefined;
  /** Is not offered: the other end. */
  without?: string;
}

/** Options that peerings and groups share. */
export function Options({ draft, onChange, errors }: FormProps) {
  return (
    <SimpleGrid cols={{ base: 1, sm: 2 }}>
      <Select
        label="Control traffic through mesh gateways"
        description="Where servers of both ends do not reach each other"
        data={[
          { value: '', label: 'leave the mesh entries as they are' },
          { value: 'yes', label: 'yes' },
          { value: 'no', label: 'no' },
        ]}
        value={draft.gateways}
        onChange={(v) => onChange({ gateways: v ?? '' })}
        error={errorAt(errors, 'spec.throughGateways')}
        allowDeselect={false}
      />
      <Select
        label="When a stream hangs"
        description={healModes.find((m) => m.value === (draft.heal || 'suggest'))?.text}
        data={healModes.map(({ value, label }) => ({
          value,
          label: value === 'suggest' ? `${label} (default)` : label,
        }))}
        value={draft.heal || 'suggest'}
        onChange={(v) => onChange({ heal: v ?? '' })}
        error={errorAt(errors, 'spec.heal')}
        allowDeselect={false}
      />
      <TagsInput
        label="Labels"
        description="key=value, then Enter"
        value={draft.labels}
        onChange={(labels) => onChange({ labels })}
        error={errorAt(errors, 'labels')}
        acceptValueOnBlur
      />
    </SimpleGrid>
  );
}

/** Addresses that the token shall carry: only a token that is made in this fleet. */
export function Addresses({ draft, onChange, errors }: FormProps) {
  if (draft.what === 'external' && draft.external === 'acceptor') return null;
  return (
    <TagsInput
      label={`Addresses at which ${draft.acceptor || 'the acceptor'} is reached`}
      description="host:port, then Enter. Leave it empty to have Consul tell its own; fill it in where those are private."
      value={draft.addresses}
      onChange={(addresses) => onChange({ addresses })}
      error={errorAt(errors, 'spec.serverExternalAddresses')}
      splitChars={[',', ' ']}
      acceptValueOnBlur
    />
  );
}
