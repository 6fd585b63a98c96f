import { Stack, TagsInput } from '@mantine/core';
import { ServiceInput } from './ServiceInput';
import { exportSpec, noExport } from './spec';
import { useSpec } from './useSpec';
import { Where } from './Where';

/** Which service of which datacenters others see. */
export function ExportForm({ onSpec }: { onSpec: (spec: object) => void }) {
  const [values, set] = useSpec(noExport, exportSpec, onSpec);
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
