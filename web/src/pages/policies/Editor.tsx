import { Button, Group, Stack, Textarea } from '@mantine/core';
import { useState } from 'react';
import type { ApplyResponse } from '../../api/types';
import { Preview } from '../../kit/Preview';

interface Props {
  text: string;
  readOnly?: boolean;
  action?: string;
  onApplied?: (response: ApplyResponse) => void;
}

/** Manifests as text; what they would change is shown before they are applied. */
export function Editor({ text: original, readOnly = false, action = 'Apply', onApplied }: Props) {
  const [text, setText] = useState(original);
  const [previewed, setPreviewed] = useState('');
  return (
    <Stack gap="sm">
      <Textarea
        aria-label="Manifest in YAML"
        value={text}
        onChange={(e) => {
          setText(e.currentTarget.value);
          setPreviewed('');
        }}
        readOnly={readOnly}
        autosize
        minRows={8}
        maxRows={30}
        spellCheck={false}
        styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
      />
      {!readOnly && previewed === '' && (
        <Group justify="flex-end">
          <Button variant="default" onClick={() => setText(original)} disabled={text === original}>
            Undo
          </Button>
          <Button onClick={() => setPreviewed(text)} disabled={text.trim() === ''}>
            Show what would change
          </Button>
        </Group>
      )}
      {previewed !== '' && (
        <Preview
          manifests={previewed}
          action={action}
          onApplied={(response) => {
            setPreviewed('');
            onApplied?.(response);
          }}
        />
      )}
    </Stack>
  );
}
