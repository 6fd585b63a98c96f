import { Stack, TagsInput } from '@mantine/core';
import { ServiceInput } from './ServiceInput';
import { useSpec } from './useSpec';
import { nowhere, Where, whereSpec, type WhereValue } from './Where';

interface Values {
  service: string;
  from: WhereValue;
  to: WhereValue;
  peers: string[];
}

const initial: Values = { service: '', from: nowhere, to: nowhere, peers: [] };

function toSpec(v: Values): object {
  return { service: v.service.trim(), ...whereSpec(v.from), consumers: { ...whereSpec(v.to), peers: v.peers } };
}

/** Which service of which datacenters others see. */
export function ExportForm({ onSpec }: { onSpec: (spec: object) => void }) {
  const [values, set] = useSpec(initial, toSpec, onSpec);
  return (
    <Stack>
      <ServiceInput
        label="Service"
        description="* is every service."
        required
        value={values.service}
        onChange={(service) => set({ service })}
      />
      <Where label="Exported from" value={values.from} onChange={(from) => set({ from })} />
      <Where label="Seen by" value={values.to} onChange={(to) => set({ to })} none="External peers only" />
      <TagsInput
        label="External peers"
        description="As the exporting Consul calls them."
        value={values.peers}
        onChange={(peers) => set({ peers })}
      />
    </Stack>
  );
}
