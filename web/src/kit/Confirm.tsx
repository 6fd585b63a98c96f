import { Button, Group, Modal, Stack, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { ErrorNote } from './ErrorNote';

interface Props {
  opened: boolean;
  onClose: () => void;
  title: string;
  /** What will happen, and what it costs. */
  children: ReactNode;
  /** What the button says: Delete, Rotate, … */
  action: string;
  /** Does it; what it throws is shown, and the dialogue stays. */
  onConfirm: () => Promise<unknown>;
  /** Destroys something: this name has to be typed first. */
  typed?: string;
}

/** Asks before something is done; before something is destroyed it asks for the name. */
export function Confirm({ opened, onClose, title, children, action, onConfirm, typed }: Props) {
  return (
    <Modal opened={opened} onClose={onClose} title={title} centered closeButtonProps={{ 'aria-label': 'Close' }}>
      {/* Opened again it starts with nothing typed. */}
      {opened && <Form {...{ onClose, children, action, onConfirm, typed }} />}
    </Modal>
  );
}

function Form({ onClose, children, action, onConfirm, typed }: Omit<Props, 'opened' | 'title'>) {
  const [name, setName] = useState('');
  const doing = useMutation({ mutationFn: onConfirm, onSuccess: onClose });
  const ready = typed === undefined || name === typed;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) doing.mutate();
      }}
    >
      <Stack>
        <div>{children}</div>
        {typed !== undefined && (
          <TextInput
            label={
              <>
                Type <b>{typed}</b> to confirm
              </>
            }
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            autoComplete="off"
            spellCheck={false}
            data-autofocus
          />
        )}
        {doing.error !== null && <ErrorNote error={doing.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose} disabled={doing.isPending}>
            Cancel
          </Button>
          <Button
            type="submit"
            color={typed === undefined ? undefined : 'red.9'}
            disabled={!ready}
            loading={doing.isPending}
            data-autofocus={typed === undefined ? true : undefined}
          >
            {action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
