import { Button, Card, Checkbox, Group, List, Modal, Stack, Text, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { notifications } from '@mantine/notifications';
import { IconPencil, IconTrash, IconX } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useQueryState } from 'nuqs';
import { useState } from 'react';
import { answer, api } from '../../api/client';
import type { PeeringGroup } from '../../api/types';
import { readyOf } from '../../kit/condition';
import { Confirm } from '../../kit/Confirm';
import { Facts } from '../../kit/Facts';
import { Labels } from '../../kit/Labels';
import { DatacenterLink } from '../../kit/links';
import { StateBadge } from '../../kit/StateBadge';
import { useSession } from '../../shell/context';
import { draftOfGroup } from './draft';
import { EditForm } from './EditForm';
import { groupVerdict, limitReached, limitText, membersText } from './group';

/** One group above its peerings: whom it connects, how many are healthy, whom it left out and why. */
export function GroupPanel({ group: g }: { group: PeeringGroup }) {
  const [, setGroup] = useQueryState('group');
  const { mayOperate } = useSession();
  const { spec, status } = g;
  return (
    <Card withBorder padding="md" mb="md" component="section">
      <Stack gap="sm">
        <Group justify="space-between">
          <Group gap="sm">
            <Title order={2} size="h4">
              Group {g.name}
            </Title>
            <StateBadge state={groupVerdict(g)} />
          </Group>
          <Group gap="xs">
            {mayOperate && <Actions group={g} />}
            <Button variant="subtle" onClick={() => void setGroup(null)} leftSection={<IconX size={16} aria-hidden />}>
              All peerings
            </Button>
          </Group>
        </Group>
        <Text size="sm">{readyOf(g)?.message}</Text>
        {limitReached(g) && (
          <Text size="sm">
            <b>It waits:</b> that many deletions at once are more than its limit. When they are meant, raise the limit
            (Edit, Deletes at most).
          </Text>
        )}
        <Facts
          facts={[
            ['Healthy', `${status?.healthy ?? 0} of ${status?.peerings ?? 0} peerings`],
            ['Datacenters', status?.datacenters ?? 0],
            [
              'Members',
              <span key="members" className="mono">
                {membersText(g)}
              </span>,
            ],
            ['Shape', spec?.shape],
            ['Hub', spec?.hub ? <span className="mono">{spec.hub}</span> : undefined],
            ['Deletes at most', `${limitText(g)} at once`],
            ['When a stream hangs', (spec?.heal as string | undefined) || 'suggest'],
            ['Labels', <Labels key="labels" labels={g.labels} />],
          ]}
        />
        {status !== undefined && status.skipped.length > 0 && (
          <div>
            <Title order={3} size="h5">
              Left out
            </Title>
            <List size="sm">
              {status.skipped.map((s) => (
                <List.Item key={`${s.acceptor} ${s.dialer}`}>
                  <DatacenterLink name={s.acceptor} /> – <DatacenterLink name={s.dialer} />: {s.reason}
                </List.Item>
              ))}
            </List>
          </div>
        )}
      </Stack>
    </Card>
  );
}

function Actions({ group: g }: { group: PeeringGroup }) {
  const [editing, edit] = useDisclosure();
  const [deleting, remove] = useDisclosure();
  const [force, setForce] = useState(false);
  const client = useQueryClient();
  const changed = () => client.invalidateQueries({ queryKey: ['list'] });
  if (g.deleteTime !== undefined) return null;
  return (
    <>
      <Button variant="default" onClick={edit.open} leftSection={<IconPencil size={16} aria-hidden />}>
        Edit
      </Button>
      <Button variant="default" onClick={remove.open} leftSection={<IconTrash size={16} aria-hidden />}>
        Delete
      </Button>
      <Modal
        opened={editing}
        onClose={edit.close}
        title={`Edit group ${g.name}`}
        size="lg"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {editing && (
          <EditForm
            of={draftOfGroup(g)}
            onApplied={() => {
              edit.close();
              void changed();
            }}
          />
        )}
      </Modal>
      <Confirm
        opened={deleting}
        onClose={() => {
          setForce(false);
          remove.close();
        }}
        title={`Delete group ${g.name}`}
        action="Delete"
        typed={g.name}
        onConfirm={async () => {
          const { outcome } = await answer(
            api.DELETE('/v1/peering-groups/{name}', {
              params: { path: { name: g.name }, query: { force } },
            }),
          );
          await changed();
          notifications.show({ message: `${g.name}: ${outcome}`, color: 'green' });
        }}
      >
        <Stack gap="sm">
          <Text size="sm">
            Its {g.status?.peerings ?? 0} peerings are deleted with it: services that call each other over them can no
            longer do so.
          </Text>
          <Checkbox
            checked={force}
            onChange={(e) => setForce(e.currentTarget.checked)}
            label="Delete more peerings than the limit (force)"
            description={`Without it, a group with more peerings than its limit (${limitText(g)}) is not deleted.`}
          />
        </Stack>
      </Confirm>
    </>
  );
}
