import { Fieldset, MultiSelect, SegmentedControl, Stack, Text, TextInput, useMatches } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { fleet, selected } from '../../../api/queries';
import type { WhereValue } from './spec';

interface Props {
  label: string;
  value: WhereValue;
  onChange: (value: WhereValue) => void;
  /** What choosing neither means; left out: one of them has to be chosen. */
  none?: string;
}

/** Chooses datacenters, by name or by their labels. */
export function Where({ label, value, onChange, none }: Props) {
  const { data } = useQuery(fleet());
  const orientation = useMatches<'vertical' | 'horizontal'>({ base: 'vertical', xs: 'horizontal' });
  const choices = [
    { value: 'names', label: 'By name' },
    { value: 'selector', label: 'By label' },
    ...(none === undefined ? [] : [{ value: 'none', label: none }]),
  ];
  return (
    <Fieldset legend={label}>
      <Stack gap="xs">
        <SegmentedControl
          aria-label={`${label}: how they are chosen`}
          orientation={orientation}
          value={value.by}
          onChange={(by) => onChange({ ...value, by: by as WhereValue['by'] })}
          data={choices}
        />
        {value.by === 'names' && (
          <MultiSelect
            label="Datacenters"
            data={data?.datacenters.map((d) => d.name) ?? []}
            value={value.datacenters}
            onChange={(datacenters) => onChange({ ...value, datacenters })}
            searchable
            limit={200}
          />
        )}
        {value.by === 'selector' && (
          <>
            <TextInput
              label="Selector"
              placeholder="env=prod,region in (eu,us)"
              value={value.selector}
              onChange={(e) => onChange({ ...value, selector: e.currentTarget.value })}
            />
            <Chosen selector={value.selector} />
          </>
        )}
      </Stack>
    </Fieldset>
  );
}

/** Which datacenters a selector chooses now. */
function Chosen({ selector: typed }: { selector: string }) {
  const [selector] = useDebouncedValue(typed.trim(), 300);
  const query = useQuery({ ...selected(selector), enabled: selector !== '', retry: false });
  if (selector === '') return null;
  if (query.isError) {
    return (
      <Text size="sm" role="alert">
        {query.error.message}
      </Text>
    );
  }
  if (query.data === undefined) return null;
  return (
    <Text size="sm" role="status">
      {query.data.length === 0
        ? 'No datacenter has these labels now.'
        : `Now: ${query.data.map((d) => d.name).join(', ')}`}
    </Text>
  );
}
