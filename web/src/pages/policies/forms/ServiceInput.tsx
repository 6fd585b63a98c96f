import { Autocomplete } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { services } from '../../../api/queries';

interface Props {
  label: string;
  value: string;
  onChange: (value: string) => void;
  description?: string;
  required?: boolean;
}

/** A service's name; those that are known are offered. */
export function ServiceInput({ label, value, onChange, description, required }: Props) {
  const { data } = useQuery(services({ query: '', datacenter: '' }));
  const names = [...new Set(data?.services.map((s) => s.name) ?? [])];
  return (
    <Autocomplete
      label={label}
      description={description}
      required={required}
      data={names}
      limit={50}
      value={value}
      onChange={onChange}
    />
  );
}
