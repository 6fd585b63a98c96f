import { Button, Group, Modal, type ModalProps, Stack, TextInput } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { useNavigate } from 'react-router';
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
  /** What is declared is called so, as far as it is typed. */
  name: string;
  onName: (name: string) => void;
  /** Beside a name enough is filled in to ask the server. */
  ready?: boolean;
  /** Its page, which is opened when it is declared, by its name as addresses have it. */
  page: (name: string) => string;
  onDone: () => void;
  /** What there is to know before it is done. */
  warning?: ReactNode;
  /** The other fields; they keep what is in them while the preview is looked at. */
  children: ReactNode;
}

/** Fields, then what they would change, as the server says, and the button that declares it. */
export function DeclareForm({ manifest, name, onName, ready = true, page, onDone, warning, children }: FormProps) {
  const navigate = useNavigate();
  const [manifests, setManifests] = useState('');
  if (manifests !== '') {
    return (
      <Stack>
        {warning}
        <Preview
          manifests={manifests}
          action="Declare"
          onApplied={() => {
            onDone();
            void navigate(page(encodeURIComponent(name.trim())));
          }}
        />
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
        <TextInput label="Name" required value={name} onChange={(e) => onName(e.currentTarget.value)} data-autofocus />
        {children}
        <Group justify="flex-end">
          <Button type="submit" disabled={!ready || name.trim() === ''}>
            Show what would change
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
