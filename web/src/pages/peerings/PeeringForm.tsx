import { Radio, SimpleGrid, Stack, TextInput } from '@mantine/core';
import { defaultName, type Draft, errorAt } from './draft';
import { Addresses, DatacenterSelect, type FormProps, Options } from './fields';

/** Both ends of a new peering; one of them may be another operator's cluster. */
export function PeeringForm({ draft, onChange, errors }: FormProps) {
  const outside = draft.what === 'external' ? draft.external : '';
  return (
    <Stack>
      {outside !== '' && (
        <Radio.Group
          label="Whose Consul makes the token?"
          value={outside}
          onChange={(v) => {
            const external = v === 'acceptor' ? 'acceptor' : 'dialer';
            // Both keep their names, whatever side they are on.
            if (external !== draft.external) onChange({ external, acceptor: draft.dialer, dialer: draft.acceptor });
          }}
        >
          <Stack gap="xs" mt="xs">
            <Radio value="dialer" label="Ours: they get a token, and their Consul dials us" />
            <Radio value="acceptor" label="Theirs: we get a token, and our Consul dials them" />
          </Stack>
        </Radio.Group>
      )}
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <EndField side="acceptor" external={outside === 'acceptor'} {...{ draft, onChange, errors }} />
        <EndField side="dialer" external={outside === 'dialer'} {...{ draft, onChange, errors }} />
        <PeerName side="acceptor" external={outside === 'acceptor'} {...{ draft, onChange, errors }} />
        <PeerName side="dialer" external={outside === 'dialer'} {...{ draft, onChange, errors }} />
      </SimpleGrid>
      <TextInput
        label="Name"
        description="What isthmus calls the peering"
        placeholder={defaultName(draft) || 'dc1-dc2'}
        value={draft.name}
        onChange={(e) => onChange({ name: e.currentTarget.value })}
        error={errorAt(errors, 'name')}
        autoComplete="off"
        spellCheck={false}
      />
      <Addresses {...{ draft, onChange, errors }} />
      <Options {...{ draft, onChange, errors }} />
    </Stack>
  );
}

interface EndProps extends FormProps {
  side: 'acceptor' | 'dialer';
  external: boolean;
}

const sides = {
  acceptor: {
    title: 'Acceptor',
    role: 'its Consul makes the token',
    field: 'spec.acceptor',
    other: 'spec.externalAcceptor',
  },
  dialer: {
    title: 'Dialer',
    role: 'its Consul uses the token, and dials',
    field: 'spec.dialer',
    other: 'spec.externalDialer',
  },
} as const;

function EndField({ side, external, draft, onChange, errors }: EndProps) {
  const { title, role, field, other } = sides[side];
  const error = errorAt(errors, field, other);
  const set = (name: string) => onChange(side === 'acceptor' ? { acceptor: name } : { dialer: name });
  if (!external) {
    return (
      <DatacenterSelect
        label={`${title}: a datacenter`}
        description={role}
        value={draft[side]}
        onChange={set}
        error={error}
        without={draft.what === 'external' ? undefined : draft[otherSide(side)]}
      />
    );
  }
  return (
    <TextInput
      label={`${title}: the other cluster`}
      description={`${role}; a name for it, for example acme`}
      value={draft[side]}
      onChange={(e) => set(e.currentTarget.value)}
      error={error}
      autoComplete="off"
      spellCheck={false}
      required
      withAsterisk
    />
  );
}

function PeerName({ side, external, draft, onChange, errors }: EndProps) {
  const key: keyof Draft = side === 'acceptor' ? 'acceptorPeerName' : 'dialerPeerName';
  // What we are called in a cluster that we do not run is what its operator says: it is only in the commands.
  const here = draft[side] || (external ? 'the other cluster' : `the ${side}`);
  return (
    <TextInput
      label={`Name of the peer in ${here}`}
      description="Default: the other end’s name"
      placeholder={draft[otherSide(side)]}
      value={draft[key]}
      onChange={(e) => onChange({ [key]: e.currentTarget.value })}
      error={errorAt(errors, `spec.${key}`)}
      autoComplete="off"
      spellCheck={false}
    />
  );
}

function otherSide(side: 'acceptor' | 'dialer') {
  return side === 'acceptor' ? 'dialer' : 'acceptor';
}
