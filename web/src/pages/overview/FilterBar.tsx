import { Button, Group, SegmentedControl, Select, TextInput } from '@mantine/core';
import { IconFilterOff, IconSearch } from '@tabler/icons-react';
import { useMemo } from 'react';
import type { Fleet } from '../../api/types';
import type { Choice, Choose } from './choice';
import type { LayoutKind } from './layout';
import { byFederation, byNothing, byRuntime, labelKeys, labelValues, usualGrouping } from './map';

const layouts: { value: LayoutKind; label: string }[] = [
  { value: 'group', label: 'Groups' },
  { value: 'ring', label: 'Ring' },
  { value: 'hub', label: 'Hubs' },
];

const healths = ['failing', 'unknown', 'pending', 'removing', 'healthy'];
const verdicts = ['failing', 'one-sided', 'stale', 'unknown', 'pending', 'deleting', 'healthy'];
const runtimes = [
  { value: 'kubernetes', label: 'Kubernetes' },
  { value: 'vm', label: 'VMs' },
  { value: 'external', label: 'External' },
];
const kinds = [
  { value: 'peering', label: 'Peerings' },
  { value: 'federation', label: 'Federations' },
];

/** How the map is laid out, and what of it is looked for. */
export function FilterBar({ fleet, choice, choose }: { fleet: Fleet; choice: Choice; choose: Choose }) {
  const keys = useMemo(() => labelKeys(fleet), [fleet]);
  const labels = useMemo(() => labelValues(fleet), [fleet]);
  const groupings = [
    { value: byNothing, label: 'nothing' },
    { value: byFederation, label: 'federation' },
    { value: byRuntime, label: 'runtime' },
    ...keys.map((key) => ({ value: key, label: `label ${key}` })),
  ];
  const filtered = (['text', 'health', 'runtime', 'label', 'kind', 'verdict'] as const).some((f) => choice[f] !== '');
  const filter = (name: string, field: 'health' | 'runtime' | 'label' | 'kind' | 'verdict', data: Options) => (
    <Select
      aria-label={name}
      placeholder={name}
      data={data}
      value={choice[field] || null}
      onChange={(value) => choose({ [field]: value ?? '' })}
      clearable
      searchable={field === 'label'}
      clearButtonProps={{ 'aria-label': `Any ${name}` }}
      size="xs"
      w={field === 'label' ? 170 : 126}
    />
  );
  return (
    <Group gap="xs" role="group" aria-label="What the map shows">
      <TextInput
        aria-label="Search the map"
        placeholder="Search by name"
        leftSection={<IconSearch size={14} aria-hidden />}
        value={choice.text}
        onChange={(e) => choose({ text: e.currentTarget.value })}
        size="xs"
        w={170}
      />
      {filter('Health', 'health', healths)}
      {filter('Runtime', 'runtime', runtimes)}
      {labels.length > 0 && filter('Label', 'label', labels)}
      {filter('Connection', 'kind', kinds)}
      {filter('Verdict', 'verdict', verdicts)}
      {filtered && (
        <Button
          variant="default"
          size="xs"
          leftSection={<IconFilterOff size={14} aria-hidden />}
          onClick={() => choose({ text: '', health: '', runtime: '', label: '', kind: '', verdict: '' })}
        >
          Clear
        </Button>
      )}
      <Group gap="xs" ml="auto">
        <Select
          aria-label="Group by"
          data={groupings}
          value={choice.by || usualGrouping(keys)}
          onChange={(value) => choose({ by: value ?? '' })}
          allowDeselect={false}
          searchable
          size="xs"
          w={150}
        />
        <SegmentedControl
          aria-label="Layout"
          data={layouts}
          value={choice.layout}
          onChange={(value) => choose({ layout: value })}
          size="xs"
        />
      </Group>
    </Group>
  );
}

type Options = string[] | { value: string; label: string }[];
