import { Button } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import type { ReactNode } from 'react';
import { Confirm } from './Confirm';

interface Props {
  /** Of the dialogue; in a table, what the button is to screen readers, too: it says of which row it is. */
  title: string;
  /** What the buttons say: Delete, Revoke, … */
  action: string;
  /** Does it; what it throws is shown, and the dialogue stays. */
  onConfirm: () => Promise<unknown>;
  /** Destroys something: this name has to be typed first. */
  typed?: string;
  /** A smaller button, one for each row. */
  inTable?: boolean;
  /** What will happen, and what it costs. */
  children: ReactNode;
}

/** A button that asks before it does something. */
export function ConfirmButton({ inTable = false, ...props }: Props) {
  const [opened, { open, close }] = useDisclosure();
  const small = inTable ? { size: 'compact-sm', 'aria-label': props.title } : {};
  return (
    <>
      <Button variant="default" onClick={open} {...small}>
        {props.action}
      </Button>
      <Confirm opened={opened} onClose={close} {...props} />
    </>
  );
}
