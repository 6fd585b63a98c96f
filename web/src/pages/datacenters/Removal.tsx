import { Button, Checkbox, List, Loader, Modal, Stack, Text, TextInput, Timeline } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useMutation, useQuery, type UseQueryResult } from '@tanstack/react-query';
import { useState } from 'react';
import { answer, api } from '../../api/client';
import type { Answer, Datacenter } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { Differences } from '../../kit/Differences';
import { ErrorNote } from '../../kit/ErrorNote';
import { Notice } from '../../kit/Notice';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';

type Plan = NonNullable<NonNullable<Datacenter['status']>['removal']>;

const looks = words<string>({ done: 'healthy', doing: 'pending', skipped: 'deleting', waiting: 'unknown' });

/** How far a datacenter is on its way out of the fleet. */
export function Removal({ removal }: { removal: Plan }) {
  const done = removal.steps.filter((s) => s.state === 'done' || s.state === 'skipped').length;
  return (
    <Notice warning title={`It is being removed (asked for by ${removal.requestedBy})`}>
      <Timeline active={done} bulletSize={18} lineWidth={2} mt="xs">
        {removal.steps.map((step) => (
          <Timeline.Item key={step.id} title={step.title}>
            <StateBadge state={step.state} look={verdictLook(looks[step.state] ?? 'unknown')} />{' '}
            <Text size="sm" component="span">
              {step.message} <Ago time={step.since} none="" />
            </Text>
          </Timeline.Item>
        ))}
      </Timeline>
    </Notice>
  );
}

/** Takes a datacenter out of the fleet: shows what that means, then asks for its name. */
export function RemoveButton({ datacenter }: { datacenter: Datacenter }) {
  const [opened, { open, close }] = useDisclosure();
  if (datacenter.status?.removal !== undefined) return null;
  return (
    <>
      <Button variant="default" onClick={open}>
        Remove from the fleet
      </Button>
      <Modal
        opened={opened}
        onClose={close}
        title={`Remove ${datacenter.name} from the fleet`}
        size="lg"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {opened && <Form name={datacenter.name} onDone={close} />}
      </Modal>
    </>
  );
}

function Form({ name, onDone }: { name: string; onDone: () => void }) {
  const [lost, setLost] = useState(false);
  // The name is typed under one plan: what has become another one is read and confirmed anew.
  const [typed, setTyped] = useState({ name: '', digest: '' });
  const remove = (body: { dryRun?: boolean; planDigest?: string }) =>
    answer(api.POST('/v1/datacenters/{name}:remove', { params: { path: { name } }, body: { ...body, lost } }));
  const plan = useQuery({
    queryKey: ['removal', name, lost],
    queryFn: () => remove({ dryRun: true }),
    retry: false,
    gcTime: 0,
  });
  const removing = useMutation({
    mutationFn: (planDigest: string) => remove({ planDigest }),
    onSuccess: onDone,
  });
  return (
    <Stack>
      <Checkbox
        label="Its Consul is gone for good: wait for nothing there"
        checked={lost}
        onChange={(e) => setLost(e.currentTarget.checked)}
      />
      {plan.isPending && <Loader size="sm" role="status" aria-label="Asking what would be done" />}
      {plan.isError && <ErrorNote error={plan.error} />}
      {plan.data !== undefined && (
        <>
          <Steps plan={plan} data={plan.data} />
          {typed.name !== '' && typed.digest !== plan.data.planDigest && (
            <Notice warning title="What would be done has changed">
              Read it again, and type the name once more.
            </Notice>
          )}
          <TextInput
            label={
              <>
                Type <b>{name}</b> to confirm
              </>
            }
            value={typed.digest === plan.data.planDigest ? typed.name : ''}
            onChange={(e) => setTyped({ name: e.currentTarget.value, digest: plan.data.planDigest })}
            autoComplete="off"
          />
          {removing.isError && <ErrorNote error={removing.error} />}
          <Button
            color="red.9"
            disabled={typed.name !== name || typed.digest !== plan.data.planDigest || plan.data.blocked.length > 0}
            loading={removing.isPending}
            onClick={() => removing.mutate(typed.digest)}
          >
            Remove
          </Button>
        </>
      )}
    </Stack>
  );
}

/** What stands against it, what would be done, and what changes by it. */
function Steps({ plan, data }: { plan: UseQueryResult<Answer<Plan>>; data: Answer<Plan> }) {
  return (
    <>
      {data.blocked.length > 0 && (
        <Notice warning title="This stands against it">
          <List size="sm">
            {data.blocked.map((b) => (
              <List.Item key={b}>{b}</List.Item>
            ))}
          </List>
        </Notice>
      )}
      <Panel title="What would be done, step by step" query={plan} order={3} onRequest>
        {(p) => (
          <List type="ordered" size="sm">
            {p.steps.map((s) => (
              <List.Item key={s.id}>
                {s.title}
                {s.message !== '' && `: ${s.message}`}
              </List.Item>
            ))}
          </List>
        )}
      </Panel>
      {data.changes.map((c) => (
        <section key={`${c.kind}/${c.name}`}>
          <Text fw={600} size="sm">
            {c.action} {c.kind} {c.name}
          </Text>
          <Differences changes={c.fields} />
        </section>
      ))}
    </>
  );
}
