import { Button, Checkbox, Fieldset, Group, Select, SimpleGrid, Stack, Text, TextInput } from '@mantine/core';
import { ServiceInput } from './ServiceInput';
import { intentionSpec, noIntention, noSource, type Source } from './spec';
import { useSpec } from './useSpec';
import { Where } from './Where';

/** Who may call a service. */
export function IntentionForm({ onSpec }: { onSpec: (spec: object) => void }) {
  const [values, set] = useSpec(noIntention, intentionSpec, onSpec);
  const change = (i: number, part: Partial<Source>) =>
    set({ sources: values.sources.map((s, at) => (at === i ? { ...s, ...part } : s)) });
  return (
    <Stack>
      <ServiceInput
        label="Service that is called"
        required
        value={values.service}
        onChange={(service) => set({ service })}
      />
      <Where label="It runs in" value={values.where} onChange={(where) => set({ where })} />
      {values.sources.map((s, i) => (
        <Fieldset key={i} legend={`Caller ${i + 1}`}>
          <Stack gap="xs">
            <SimpleGrid cols={{ base: 1, xs: 2 }}>
              <ServiceInput
                label="Service that calls"
                description="* is every service."
                required
                value={s.service}
                onChange={(service) => change(i, { service })}
              />
              <Select
                label="Decision"
                description="What counts for it."
                data={[
                  { value: 'allow', label: 'Allow' },
                  { value: 'deny', label: 'Deny' },
                ]}
                value={s.action}
                onChange={(v) => change(i, { action: v === 'deny' ? 'deny' : 'allow' })}
                allowDeselect={false}
              />
            </SimpleGrid>
            <Where
              label={`Caller ${i + 1} runs in`}
              value={s.from}
              onChange={(from) => change(i, { from })}
              none="The same datacenter"
            />
            <TextInput
              label="Or an external peer"
              description="As the destination's Consul calls it."
              value={s.peer}
              onChange={(e) => change(i, { peer: e.currentTarget.value })}
            />
            {values.sources.length > 1 && (
              <Button
                variant="default"
                size="compact-sm"
                w="fit-content"
                onClick={() => set({ sources: values.sources.filter((_, at) => at !== i) })}
              >
                Take caller {i + 1} out
              </Button>
            )}
          </Stack>
        </Fieldset>
      ))}
      <Group>
        <Button variant="default" onClick={() => set({ sources: [...values.sources, noSource] })}>
          Another caller
        </Button>
      </Group>
      <Checkbox
        label="It may count for a whole federation although it names only some of its datacenters"
        checked={values.wide}
        onChange={(e) => set({ wide: e.currentTarget.checked })}
      />
      <Text size="sm" c="dimmed">
        Rules for HTTP (paths, methods, headers) go into the manifest, as permissions in place of action.
      </Text>
    </Stack>
  );
}
