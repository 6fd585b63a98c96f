import { Alert, Button, Group, Paper, Radio, Stack, Stepper, Title, useMatches } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { parseAsArrayOf, parseAsInteger, parseAsString, parseAsStringLiteral, useQueryStates } from 'nuqs';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useNavigate } from 'react-router';
import { dryRun, toYAML } from '../../api/apply';
import { fieldErrors } from '../../api/error';
import { Empty } from '../../kit/Empty';
import { ErrorNote } from '../../kit/ErrorNote';
import { Notice } from '../../kit/Notice';
import { Page } from '../../kit/Page';
import { Preview } from '../../kit/Preview';
import { useSession } from '../../shell/context';
import { type Draft, emptyDraft, kinds, manifestOfDraft } from './draft';
import { TheyDial, WeDial } from './ExternalCommands';
import { GroupForm } from './GroupForm';
import { PeeringForm } from './PeeringForm';

const text = parseAsString.withDefault('');
const texts = parseAsArrayOf(parseAsString).withDefault([]);

// All that is filled in stands in the address: a draft can be sent to somebody, and other pages link to one.
const fields = {
  what: parseAsStringLiteral(kinds).withDefault(emptyDraft.what),
  name: text,
  acceptor: text,
  dialer: text,
  external: parseAsStringLiteral(['acceptor', 'dialer']).withDefault(emptyDraft.external),
  acceptorPeerName: text,
  dialerPeerName: text,
  gateways: text,
  addresses: texts,
  heal: text,
  labels: texts,
  members: parseAsStringLiteral(['selector', 'names']).withDefault(emptyDraft.members),
  selector: text,
  datacenters: texts,
  shape: parseAsStringLiteral(['full-mesh', 'hub-and-spoke']).withDefault(emptyDraft.shape),
  hub: text,
  limit: text,
  step: parseAsInteger.withDefault(0),
};

/** Makes a peering, a group of them, or one with a cluster of somebody else: what it shall be, what would change, and go. */
export default function NewPeeringPage() {
  const { mayOperate } = useSession();
  return (
    <Page title="New peering">
      {mayOperate ? (
        <Wizard />
      ) : (
        <Empty title="Only operators make peerings">Ask for an API token with the role operator.</Empty>
      )}
    </Page>
  );
}

function Wizard() {
  const [{ step: asked, ...draft }, set] = useQueryStates(fields);
  const navigate = useNavigate();
  // A step is something to go back from.
  const go = (step: number) => set({ step }, { history: 'push' });
  const orientation = useMatches({ base: 'vertical', sm: 'horizontal' } as const);
  const manifest = manifestOfDraft(draft);
  const yaml = toYAML([manifest]);
  // An address may be anybody's: what it fills in is looked at by whoever opens it, before the server is asked.
  const [linked] = useState(yaml !== toYAML([manifestOfDraft({ ...emptyDraft, what: draft.what })]));
  // Looked at before the preview: what is wrong is said where it is filled in.
  const check = useMutation({
    mutationFn: (manifests: string) => dryRun(manifests),
    onSuccess: () => go(2),
  });
  // The last step is there for the very draft that this page had looked at, whatever the address says.
  const step = Math.min(asked, check.isSuccess && check.variables === yaml ? 2 : 1);
  const change = (fields: Partial<Draft>) => {
    check.reset();
    void set(fields);
  };
  return (
    <Paper withBorder p="md">
      <Stepper
        active={step}
        onStepClick={(to) => void go(to)}
        allowNextStepsSelect={false}
        size="sm"
        orientation={orientation}
      >
        <Stepper.Step label="What" description={titles[draft.what].short}>
          <What what={draft.what} onChange={(what) => change({ what })} onNext={() => void go(1)} />
        </Stepper.Step>
        <Stepper.Step label="Details" description={step > 1 ? manifest.name : undefined}>
          <Details
            {...{ draft, linked, check }}
            onChange={change}
            onNext={() => check.mutate(yaml)}
            onBack={() => void go(0)}
          />
        </Stepper.Step>
        <Stepper.Step label="Preview">
          <Stack mt="md">
            <Title order={2} size="h4">
              What would change
            </Title>
            <Preview
              manifests={yaml}
              action={draft.what === 'group' ? 'Make the group' : 'Make the peering'}
              onApplied={() => {
                const name = encodeURIComponent(manifest.name);
                void navigate(draft.what === 'group' ? `/peerings?group=${name}` : `/peerings/${name}?made=true`);
              }}
            >
              {draft.what === 'external' && <After draft={draft} name={manifest.name} />}
            </Preview>
            <Buttons onBack={() => void go(1)} />
          </Stack>
        </Stepper.Step>
      </Stepper>
    </Paper>
  );
}

interface DetailsProps {
  draft: Draft;
  /** A link has filled it in. */
  linked: boolean;
  /** What the server said of it. */
  check: { error: Error | null; isPending: boolean };
  onChange: (fields: Partial<Draft>) => void;
  onNext: () => void;
  onBack: () => void;
}

/** The fields; what the server refuses is said where it is filled in. */
function Details({ draft, linked, check: { error, isPending }, onChange, onNext, onBack }: DetailsProps) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (error !== null) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [error]);
  const fields = { draft, onChange, errors: fieldErrors(error) };
  return (
    <form
      ref={form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        onNext();
      }}
    >
      <Stack mt="md">
        <Title order={2} size="h4">
          {titles[draft.what].long}
        </Title>
        {linked && (
          <Notice title="A link has filled this in">Look at each field, as if somebody else had typed it.</Notice>
        )}
        {draft.what === 'group' ? <GroupForm {...fields} /> : <PeeringForm {...fields} />}
        {error !== null && <ErrorNote error={error} title="This is not right yet" />}
        <Buttons onBack={onBack}>
          <Button type="submit" loading={isPending}>
            Next: what would change
          </Button>
        </Buttons>
      </Stack>
    </form>
  );
}

const titles = {
  peering: {
    short: 'a peering',
    long: 'Two datacenters',
    text: 'Two datacenters of this fleet. Their agents hand over the token, and it is healthy within seconds.',
  },
  group: {
    short: 'a group',
    long: 'A group of datacenters',
    text: 'All datacenters with certain labels, now and later, in a full mesh or around hubs.',
  },
  external: {
    short: 'an external cluster',
    long: 'A datacenter and a cluster of somebody else',
    text: 'A datacenter of this fleet and a cluster that isthmus does not run. Its operator and you hand over the token; this page says how.',
  },
} as const;

interface WhatProps {
  what: Draft['what'];
  onChange: (what: Draft['what']) => void;
  onNext: () => void;
}

function What({ what, onChange, onNext }: WhatProps) {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onNext();
      }}
    >
      <Radio.Group
        label="What shall be connected?"
        value={what}
        onChange={(v) => onChange(kinds.find((k) => k === v) ?? 'peering')}
        mt="md"
      >
        <Stack mt="sm">
          {kinds.map((kind) => (
            <Radio key={kind} value={kind} label={titles[kind].long} description={titles[kind].text} />
          ))}
        </Stack>
      </Radio.Group>
      <Buttons>
        <Button type="submit">Next: details</Button>
      </Buttons>
    </form>
  );
}

/** The commands that follow, so that nobody is surprised that it does not become healthy by itself. */
function After({ draft, name }: { draft: Draft; name: string }) {
  const theirs = draft.external === 'acceptor' ? draft.acceptor : draft.dialer;
  const ours = draft.external === 'acceptor' ? draft.dialer : draft.acceptor;
  return (
    <Alert variant="outline" color="blue" title="After that, the token is handed over by people">
      {draft.external === 'acceptor' ? (
        <WeDial {...{ name, theirs, ours }} peer={draft.acceptorPeerName || ours} />
      ) : (
        <TheyDial {...{ name, theirs, ours }} peer={draft.dialerPeerName || ours} />
      )}
    </Alert>
  );
}

function Buttons({ onBack, children }: { onBack?: () => void; children?: ReactNode }) {
  return (
    <Group justify="flex-end" mt="md">
      {onBack !== undefined && (
        <Button variant="default" onClick={onBack}>
          Back
        </Button>
      )}
      {children}
    </Group>
  );
}
