import { Button, Checkbox, Menu, Modal, Stack, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { notifications } from '@mantine/notifications';
import { IconDots, IconHeartbeat, IconPencil, IconRefresh, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { answer, api } from '../../api/client';
import { sawIndex } from '../../api/revision';
import type { Peering } from '../../api/types';
import { Confirm } from '../../kit/Confirm';
import { EditForm } from './EditForm';
import { draftOfPeering } from './draft';
import { endsOf, hangs } from './peering';

/** What an operator can do with a peering. Whatever cannot be done with this one is not there. */
export function PeeringActions({ peering: p, onChanged }: { peering: Peering; onChanged: () => void }) {
  const [editing, edit] = useDisclosure();
  const [rotating, rotate] = useDisclosure();
  const [healing, heal] = useDisclosure();
  const [deleting, remove] = useDisclosure();
  const [acceptor] = endsOf(p);
  const going = p.deleteTime !== undefined;
  const owned = Boolean(p.status?.group);
  return (
    <>
      {hangs(p) && !going && (
        <Button onClick={heal.open} leftSection={<IconHeartbeat size={16} aria-hidden />}>
          Re-establish
        </Button>
      )}
      {!going && !acceptor.external && (
        <Button variant="default" onClick={rotate.open} leftSection={<IconRefresh size={16} aria-hidden />}>
          Rotate
        </Button>
      )}
      {(!owned || going) && (
        <Menu position="bottom-end">
          <Menu.Target>
            <Button variant="default" aria-label="More actions" px="xs">
              <IconDots size={16} aria-hidden />
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {!going && (
              <Menu.Item leftSection={<IconPencil size={16} aria-hidden />} onClick={edit.open}>
                Edit
              </Menu.Item>
            )}
            <Menu.Item leftSection={<IconTrash size={16} aria-hidden />} onClick={remove.open}>
              Delete
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      )}
      <Rotate peering={p} opened={rotating} onClose={rotate.close} onDone={onChanged} />
      <Heal peering={p} opened={healing} onClose={heal.close} onDone={onChanged} />
      <Delete peering={p} opened={deleting} onClose={remove.close} onDone={onChanged} />
      <Modal
        opened={editing}
        onClose={edit.close}
        title={`Edit ${p.name}`}
        size="lg"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {editing && (
          <EditForm
            of={draftOfPeering(p)}
            onApplied={() => {
              edit.close();
              onChanged();
            }}
          />
        )}
      </Modal>
    </>
  );
}

interface DialogProps {
  peering: Peering;
  opened: boolean;
  onClose: () => void;
  onDone: () => void;
}

function Rotate({ peering: p, opened, onClose, onDone }: DialogProps) {
  const [acceptor, dialer] = endsOf(p);
  return (
    <Confirm
      opened={opened}
      onClose={onClose}
      title={`Rotate the token of ${p.name}`}
      action="Rotate"
      onConfirm={async () => {
        const after = await answer(
          api.POST('/v1/peerings/{name}:rotate', { params: { path: { name: p.name } }, body: {} }),
        );
        sawIndex(after.index);
        onDone();
        notifications.show({ message: `A new token of ${p.name} is asked for`, color: 'green' });
      }}
    >
      <Text size="sm">
        Consul in {acceptor.name} makes a new token, and{' '}
        {dialer.external
          ? `the operator of ${dialer.name} has to use it: see the commands below the token ledger.`
          : `Consul in ${dialer.name} uses it. The peering stays up while its secret changes.`}
      </Text>
    </Confirm>
  );
}

function Heal({ peering: p, opened, onClose, onDone }: DialogProps) {
  const [, dialer] = endsOf(p);
  const next = p.status?.heal?.step === 'transfer-leader' ? 'transfer-leader' : 'reestablish';
  return (
    <Confirm
      opened={opened}
      onClose={onClose}
      title={`Re-establish ${p.name}`}
      action="Re-establish"
      onConfirm={async () => {
        const after = await answer(
          api.POST('/v1/peerings/{name}:heal', { params: { path: { name: p.name } }, body: {} }),
        );
        sawIndex(after.index);
        onDone();
        notifications.show({ message: `The next step of healing ${p.name} is asked for`, color: 'green' });
      }}
    >
      <Text size="sm">
        {next === 'reestablish'
          ? 'A fresh token is made, delivered and used: that begins a lost stream anew at once. '
          : `Consul in ${dialer.name} chooses another leader: all streams of that datacenter begin anew, and for some seconds nothing can be written there. `}
        Calls between services go on meanwhile.
      </Text>
    </Confirm>
  );
}

function Delete({ peering: p, opened, onClose, onDone }: DialogProps) {
  const [force, setForce] = useState(false);
  const [acceptor, dialer] = endsOf(p);
  const going = p.deleteTime !== undefined;
  return (
    <Confirm
      opened={opened}
      onClose={() => {
        setForce(false);
        onClose();
      }}
      title={`Delete ${p.name}`}
      action="Delete"
      typed={p.name}
      onConfirm={async () => {
        const { outcome } = await answer(
          api.DELETE('/v1/peerings/{name}', { params: { path: { name: p.name }, query: { force } } }),
        );
        onDone();
        notifications.show({ message: `${p.name}: ${outcome}`, color: 'green' });
      }}
    >
      <Stack gap="sm">
        <Text size="sm">
          Services of {acceptor.name} and {dialer.name} that call each other over this peering can no longer do so.{' '}
          {going
            ? 'It is being deleted already, and goes when both ends are gone from Consul.'
            : 'Both ends are removed from Consul first; the peering goes when they are gone.'}
        </Text>
        <Checkbox
          checked={force}
          onChange={(e) => setForce(e.currentTarget.checked)}
          label="Do not wait for the ends (force)"
          description="For an end that cannot be reached any more. What is left of it in Consul stays there as an orphan that somebody has to remove by hand."
        />
      </Stack>
    </Confirm>
  );
}
