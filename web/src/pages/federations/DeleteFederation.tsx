import { List, Loader, Stack, Text } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from 'react-router';
import { answer, api } from '../../api/client';
import { federationPlan } from '../../api/queries';
import type { Federation } from '../../api/types';
import { ConfirmButton } from '../../kit/ConfirmButton';
import { ErrorNote } from '../../kit/ErrorNote';

/** Dissolves a federation: says first what that means for each datacenter, and asks for its name. */
export function DeleteFederation({ federation }: { federation: Federation }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  if (federation.deleteTime !== undefined) return null;
  const { name } = federation;
  return (
    <ConfirmButton
      title={`Delete federation ${name}`}
      action="Delete"
      typed={name}
      onConfirm={async () => {
        const { outcome } = await answer(api.DELETE('/v1/federations/{name}', { params: { path: { name } } }));
        if (outcome === 'deleted') void navigate('/federations');
        else void client.invalidateQueries({ queryKey: ['one', 'Federation', name] });
      }}
    >
      <Meaning name={name} />
    </ConfirmButton>
  );
}

/** The plan of its end. */
function Meaning({ name }: { name: string }) {
  const plan = useQuery(federationPlan(name, true));
  return (
    <Stack gap="xs">
      <Text size="sm">
        Every secondary leaves, and is a datacenter of its own then. The federation goes when all have left.
      </Text>
      {plan.isPending && <Loader size="sm" role="status" aria-label="Loading" />}
      {plan.isError && <ErrorNote error={plan.error} />}
      {plan.data?.members
        .filter((m) => m.restarts.length + m.becomes.length + m.losses.length > 0)
        .map((m) => (
          <div key={m.datacenter}>
            <Text size="sm" fw={600}>
              {m.datacenter}: {m.action}
            </Text>
            <List size="sm">
              {[...m.restarts, ...m.becomes, ...m.losses.map((l) => `${l.kind} ${l.name}: ${l.message}`)].map(
                (line) => (
                  <List.Item key={line}>{line}</List.Item>
                ),
              )}
            </List>
          </div>
        ))}
    </Stack>
  );
}
