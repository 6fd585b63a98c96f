import {
  Button,
  Checkbox,
  Fieldset,
  Group,
  NumberInput,
  SegmentedControl,
  Select,
  Stack,
  TextInput,
  useMatches,
} from '@mantine/core';
import { ServiceInput } from './ServiceInput';
import { noTarget, nowhere, sumOf, trafficSpec, noTraffic, type TrafficValues } from './spec';
import { TargetInput } from './TargetInput';
import { useSpec } from './useSpec';
import { Where } from './Where';

/** Where calls of a service go. */
export function TrafficForm({ onSpec }: { onSpec: (spec: object) => void }) {
  const [values, set] = useSpec(noTraffic, trafficSpec, onSpec);
  const orientation = useMatches<'vertical' | 'horizontal'>({ base: 'vertical', xs: 'horizontal' });
  return (
    <Stack>
      <ServiceInput
        label="Service that is called"
        required
        value={values.service}
        onChange={(service) => set({ service })}
      />
      <Where label="Callers in" value={values.callers} onChange={(callers) => set({ callers })} />
      <SegmentedControl
        aria-label="What happens to calls"
        orientation={orientation}
        value={values.way}
        onChange={(way) => set({ way })}
        data={[
          { value: 'failover', label: 'Fail over' },
          { value: 'redirect', label: 'Redirect' },
          { value: 'split', label: 'Split' },
          { value: 'routes', label: 'Route' },
        ]}
      />
      {values.way === 'failover' && <Failover values={values} set={set} />}
      {values.way === 'redirect' && (
        <Fieldset legend="All calls go to">
          <TargetInput value={values.redirect} onChange={(redirect) => set({ redirect })} />
        </Fieldset>
      )}
      {values.way === 'split' && <Split values={values} set={set} />}
      {values.way === 'routes' && <Routes values={values} set={set} />}
      {(values.way === 'split' || values.way === 'routes') && (
        <Select
          label="Protocol of the service"
          data={['http', 'http2', 'grpc']}
          value={values.protocol}
          onChange={(protocol) => set({ protocol: protocol ?? 'http' })}
          allowDeselect={false}
        />
      )}
      <Checkbox
        label="It may count for a whole federation although it names only some of its datacenters"
        checked={values.wide}
        onChange={(e) => set({ wide: e.currentTarget.checked })}
      />
    </Stack>
  );
}

interface PartProps {
  values: TrafficValues;
  set: (part: Partial<TrafficValues>) => void;
}

function at<T>(all: readonly T[], i: number, part: Partial<T>): T[] {
  return all.map((one, n) => (n === i ? { ...one, ...part } : one));
}

function Failover({ values, set }: PartProps) {
  return (
    <>
      {values.steps.map((step, i) => (
        <Stack key={i} gap="xs">
          <Where
            label={`${i + 1}. to`}
            value={step.to}
            onChange={(to) => set({ steps: at(values.steps, i, { to }) })}
          />
          <TextInput
            label="First those with the caller's value of this label"
            placeholder="region"
            value={step.sameLabel}
            onChange={(e) => set({ steps: at(values.steps, i, { sameLabel: e.currentTarget.value }) })}
          />
        </Stack>
      ))}
      <Button
        variant="default"
        w="fit-content"
        onClick={() => set({ steps: [...values.steps, { to: nowhere, sameLabel: '' }] })}
      >
        Another step
      </Button>
    </>
  );
}

function Split({ values, set }: PartProps) {
  const sum = sumOf(values.split);
  return (
    <>
      {values.split.map((s, i) => (
        <Fieldset key={i} legend={`Share ${i + 1}`}>
          <NumberInput
            label="Percent"
            min={0}
            max={100}
            value={s.weight}
            error={sum === 100 ? undefined : `all shares together are ${sum} %, not 100 %`}
            onChange={(weight) => set({ split: at(values.split, i, { weight }) })}
          />
          <TargetInput value={s.target} onChange={(target) => set({ split: at(values.split, i, { target }) })} />
        </Fieldset>
      ))}
      <Button
        variant="default"
        w="fit-content"
        onClick={() => set({ split: [...values.split, { weight: 0, target: noTarget }] })}
      >
        Another share
      </Button>
    </>
  );
}

function Routes({ values, set }: PartProps) {
  return (
    <>
      {values.routes.map((r, i) => (
        <Fieldset key={i} legend={`Route ${i + 1}`}>
          <TextInput
            label="Paths that begin with"
            value={r.prefix}
            onChange={(e) => set({ routes: at(values.routes, i, { prefix: e.currentTarget.value }) })}
          />
          <TargetInput value={r.target} onChange={(target) => set({ routes: at(values.routes, i, { target }) })} />
        </Fieldset>
      ))}
      <Group>
        <Button
          variant="default"
          onClick={() => set({ routes: [...values.routes, { prefix: '/', target: noTarget }] })}
        >
          Another route
        </Button>
      </Group>
    </>
  );
}
