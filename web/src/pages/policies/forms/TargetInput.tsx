import { Select, SimpleGrid, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { fleet } from '../../../api/queries';
import { ServiceInput } from './ServiceInput';
import type { Target } from './spec';

/** A service somewhere; what is left out is as the caller has it. */
export function TargetInput({ value, onChange }: { value: Target; onChange: (value: Target) => void }) {
  const { data } = useQuery(fleet());
  return (
    <SimpleGrid cols={{ base: 1, xs: 3 }}>
      <ServiceInput
        label="Service"
        description="Left empty: the same."
        value={value.service}
        onChange={(service) => onChange({ ...value, service })}
      />
      <Select
        label="Datacenter"
        description="Left empty: the caller's own."
        data={data?.datacenters.map((d) => d.name) ?? []}
        value={value.datacenter || null}
        onChange={(datacenter) => onChange({ ...value, datacenter: datacenter ?? '' })}
        searchable
        clearable
        limit={200}
        clearButtonProps={{ 'aria-label': "The caller's own datacenter" }}
      />
      <TextInput
        label="Or an external peer"
        description="As the caller's Consul calls it."
        value={value.peer}
        onChange={(e) => onChange({ ...value, peer: e.currentTarget.value })}
      />
    </SimpleGrid>
  );
}
