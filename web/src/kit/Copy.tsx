import { ActionIcon, CopyButton, Group, Tooltip } from '@mantine/core';
import { IconCheck, IconCopy } from '@tabler/icons-react';

/** A text to copy: an address, an id. what names it for screen readers. */
export function Copyable({ text, what }: { text: string; what: string }) {
  return (
    <Group gap={4} wrap="nowrap" component="span" display="inline-flex">
      <span className="mono">{text}</span>
      <CopyMark text={text} what={what} />
    </Group>
  );
}

/** A command to run, with a button that copies it. */
export function Command({ text, what = 'the command' }: { text: string; what?: string }) {
  return (
    <Group gap="xs" wrap="nowrap" align="flex-start">
      <pre
        className="mono"
        // Focusable, so that the keyboard scrolls a long line.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        style={{
          margin: 0,
          padding: 8,
          overflowX: 'auto',
          flex: 1,
          border: '1px solid var(--mantine-color-default-border)',
        }}
      >
        {text}
      </pre>
      <CopyMark text={text} what={what} />
    </Group>
  );
}

function CopyMark({ text, what }: { text: string; what: string }) {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? 'Copied' : 'Copy'}>
          <ActionIcon
            variant="subtle"
            color={copied ? 'green' : 'gray'}
            size="sm"
            onClick={copy}
            aria-label={`Copy ${what}`}
          >
            {copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}
