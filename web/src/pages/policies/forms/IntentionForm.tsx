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
        <Caller
          key={i}
          number={i + 1}
          source={s}
          onChange={(part) => change(i, part)}
          onRemove={
            values.sources.length > 1 ? () => set({ sources: values.sources.filter((_, at) => at !== i) }) : undefined
          }
        />
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

interface CallerProps {
  number: number;
  source: Source;
  onChange: (part: Partial<Source>) => void;
  /** Unset: it is the only one. */
  onRemove: (() => void) | undefined;
}

/** Who calls, from where, and whether it may. */
function Caller({ number, source, onChange, onRemove }: CallerProps) {
  return (
    <Fieldset legend={`Caller ${number}`}>
      <Stack gap="xs">
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <ServiceInput
            label="Service that calls"
            description="* is every service."
            required
            value={source.service}
            onChange={(service) => onChange({ service })}
          />
          <Select
            label="Decision"
            description="What counts for it."
            data={[
              { value: 'allow', label: 'Allow' },
              { value: 'deny', label: 'Deny' },
            ]}
            value={source.action}
            onChange={(v) => onChange({ action: v === 'deny' ? 'deny' : 'allow' })}
            allowDeselect={false}
          />
        </SimpleGrid>
        <Where
          label={`Caller ${number} runs in`}
          value={source.from}
          onChange={(from) => onChange({ from })}
          none="The same datacenter"
        />
        <TextInput
          label="Or an external peer"
          description="As the destination's Consul calls it."
          value={source.peer}
          onChange={(e) => onChange({ peer: e.currentTarget.value })}
        />
        {onRemove !== undefined && (
          <Button variant="default" size="compact-sm" w="fit-content" onClick={onRemove}>
            Take caller {number} out
          </Button>
        )}
      </Stack>
    </Fieldset>
  );
}
