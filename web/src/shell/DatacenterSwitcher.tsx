import { Select } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { fleet } from '../api/queries';
import { healthLook } from '../kit/verdict';
import { useScope } from './scope';

const every = 'All datacenters';
/** More than anybody scrolls through: the rest is found by typing. */
const shown = 200;

/** The datacenter drop-down at the top left. */
export function DatacenterSwitcher() {
  const { datacenter, choose } = useScope();
  const [opened, drop] = useDisclosure();
  // Read once, so that whoever types finds the names at once. Pages that are not about the whole fleet need not read it again at each change:
  // that is done while somebody chooses.
  const { data } = useQuery({ ...fleet(), enabled: (query) => opened || query.state.data === undefined });
  const names = data?.datacenters.map((d) => d.name) ?? [];
  const known = datacenter === '' || names.includes(datacenter) ? names : [datacenter, ...names];
  const healthOf = new Map(data?.datacenters.map((d) => [d.name, d.health]));
  return (
    <Select
      aria-label="Datacenter"
      data={[{ value: '', label: every }, ...known.map((name) => ({ value: name, label: name }))]}
      value={datacenter}
      onChange={(name) => choose(name ?? '')}
      onDropdownOpen={drop.open}
      onDropdownClose={drop.close}
      searchable
      allowDeselect={false}
      limit={shown}
      w={{ base: 172, xs: 220 }}
      maxDropdownHeight={400}
      renderOption={({ option }) => {
        const health = healthOf.get(option.value);
        const Icon = health === undefined || health === 'healthy' ? undefined : healthLook(health).icon;
        return (
          <>
            {option.label}
            {Icon !== undefined && <Icon size={14} aria-label={health} style={{ marginLeft: 'auto' }} />}
          </>
        );
      }}
    />
  );
}
