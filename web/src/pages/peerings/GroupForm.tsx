import { Input, MultiSelect, Radio, SegmentedControl, Stack, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { list, selected } from '../../api/queries';
import { errorAt } from './draft';
import { type FormProps, Options } from './fields';
import { MatchList } from './MatchList';

/** How long typing pauses before the server is asked whom a selector chooses. */
const pause = 250;

/** Who belongs to a group, and how they are connected. */
export function GroupForm({ draft, onChange, errors, named = false }: FormProps & { named?: boolean }) {
  const [selector] = useDebouncedValue(draft.selector.trim(), pause);
  const [hub] = useDebouncedValue(draft.hub.trim(), pause);
  const bySelector = draft.members === 'selector';
  const hubbed = draft.shape === 'hub-and-spoke';
  const chosen = useQuery({ ...selected(selector), enabled: bySelector && selector !== '', placeholderData: keep });
  const hubs = useQuery({ ...selected(hub), enabled: hubbed && hub !== '', placeholderData: keep });
  const members = bySelector ? (selector === '' ? [] : (chosen.data ?? []).map((d) => d.name)) : draft.datacenters;
  const hubNames = new Set(hubbed && hub !== '' ? (hubs.data ?? []).map((d) => d.name) : []);
  return (
    <Stack>
      {!named && (
        <TextInput
          label="Name"
          description="Its peerings begin with it"
          value={draft.name}
          onChange={(e) => onChange({ name: e.currentTarget.value })}
          error={errorAt(errors, 'name')}
          autoComplete="off"
          spellCheck={false}
          required
          withAsterisk
        />
      )}
      <Members {...{ draft, onChange, errors }} wrong={chosen.error?.message} />
      <Shape {...{ draft, onChange, errors }} wrong={hubs.error?.message} />
      <MatchList members={members} hubs={hubNames} shape={draft.shape} />
      <TextInput
        label="Deletes at most"
        description="How many of its peerings one change may delete without force. Empty: a quarter, at least one."
        value={draft.limit}
        onChange={(e) => onChange({ limit: e.currentTarget.value.trim() })}
        error={errorAt(errors, 'spec.maxDeletions')}
        inputMode="numeric"
      />
      <Options {...{ draft, onChange, errors }} />
    </Stack>
  );
}

/** The answer before stays until the next one is there. */
function keep<T>(before: T | undefined): T | undefined {
  return before;
}

interface PartProps extends FormProps {
  /** What the server says of the selector, before the whole is asked for. */
  wrong: string | undefined;
}

function Members({ draft, onChange, errors, wrong }: PartProps) {
  const { data = [] } = useQuery(list('Datacenter'));
  return (
    <>
      <Input.Wrapper label="Members" labelElement="div">
        <div>
          <SegmentedControl
            aria-label="Members"
            data={[
              { value: 'selector', label: 'by labels' },
              { value: 'names', label: 'by names' },
            ]}
            value={draft.members}
            onChange={(v) => onChange({ members: v === 'names' ? 'names' : 'selector' })}
          />
        </div>
      </Input.Wrapper>
      {draft.members === 'selector' ? (
        <TextInput
          label="Label selector"
          description="For example env=prod,region in (eu,us),!old. A datacenter that gets the labels later is connected then."
          value={draft.selector}
          onChange={(e) => onChange({ selector: e.currentTarget.value })}
          error={errorAt(errors, 'spec.selector', 'spec.datacenters') ?? wrong}
          autoComplete="off"
          spellCheck={false}
        />
      ) : (
        <MultiSelect
          label="Datacenters"
          data={data.map((d) => d.name)}
          value={draft.datacenters}
          onChange={(v) => onChange({ datacenters: v })}
          error={errorAt(errors, 'spec.datacenters', 'spec.selector')}
          limit={50}
          searchable
          clearable
          clearButtonProps={{ 'aria-label': 'No datacenters' }}
        />
      )}
    </>
  );
}

function Shape({ draft, onChange, errors, wrong }: PartProps) {
  return (
    <>
      <Radio.Group
        label="Shape"
        value={draft.shape}
        onChange={(v) => onChange({ shape: v === 'hub-and-spoke' ? 'hub-and-spoke' : 'full-mesh' })}
        error={errorAt(errors, 'spec.shape')}
      >
        <Stack gap="xs" mt="xs">
          <Radio value="full-mesh" label="Full mesh: each with each" />
          <Radio value="hub-and-spoke" label="Hub and spoke: each spoke with each hub, and the hubs with each other" />
        </Stack>
      </Radio.Group>
      {draft.shape === 'hub-and-spoke' && (
        <TextInput
          label="Which members are hubs"
          description="A label selector, for example role=hub"
          value={draft.hub}
          onChange={(e) => onChange({ hub: e.currentTarget.value })}
          error={errorAt(errors, 'spec.hub') ?? wrong}
          autoComplete="off"
          spellCheck={false}
          required
          withAsterisk
        />
      )}
    </>
  );
}
