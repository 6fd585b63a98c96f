import { Button, Group, Modal, type ModalProps, Stack } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { type Manifest, toYAML } from '../api/apply';
import { Preview } from './Preview';

interface DialogueProps {
  opened: boolean;
  onClose: () => void;
  title: string;
  size?: ModalProps['size'];
  /** A form; opened again it begins anew. */
  children: ReactNode;
}

/** A dialogue with a form that declares something. */
export function DeclareDialogue({ opened, onClose, title, size = 'lg', children }: DialogueProps) {
  return (
    <Modal opened={opened} onClose={onClose} title={title} size={size} closeButtonProps={{ 'aria-label': 'Close' }}>
      {opened && children}
    </Modal>
  );
}

interface FormProps {
  /** What the fields say, as a manifest. */
  manifest: () => Manifest;
  /** Enough is filled in to ask the server. */
  ready: boolean;
  onApplied: () => void;
  /** What there is to know before it is done. */
  warning?: ReactNode;
  /** The fields; they keep what is in them while the preview is looked at. */
  children: ReactNode;
}

/** Fields, then what they would change, as the server says, and the button that declares it. */
export function DeclareForm({ manifest, ready, onApplied, warning, children }: FormProps) {
  const [manifests, setManifests] = useState('');
  if (manifests !== '') {
    return (
      <Stack>
        {warning}
        <Preview manifests={manifests} action="Declare" onApplied={onApplied} />
        <Button variant="default" w="fit-content" onClick={() => setManifests('')}>
          Back
        </Button>
      </Stack>
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setManifests(toYAML([manifest()]));
      }}
    >
      <Stack>
        {children}
        <Group justify="flex-end">
          <Button type="submit" disabled={!ready}>
            Show what would change
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
