import { Button, Group, Stack, Textarea } from '@mantine/core';
import { useState } from 'react';
import type { ApplyResponse } from '../../api/types';
import { Conflict } from '../../kit/Conflict';
import { Preview } from '../../kit/Preview';

interface Props {
  /** As it is stored. It may become another one while somebody edits it. */
  text: string;
  readOnly?: boolean;
  action?: string;
  onApplied?: (response: ApplyResponse) => void;
}

/** An edit that is not what is stored. */
interface Edit {
  text: string;
  /** The text that it began from. */
  base: string;
  /** It was stored: the text that comes next is its own. */
  applied: boolean;
}

/** Manifests as text; what they would change is shown before they are applied. An edit outlives others' changes, and says so. */
export function Editor({ text: stored, readOnly = false, action = 'Apply', onApplied }: Props) {
  const [edit, setEdit] = useState<Edit>();
  const [previewed, setPreviewed] = useState('');
  const changed = edit !== undefined && stored !== edit.base;
  if (changed && (edit.applied || edit.text === stored)) setEdit(undefined);
  const conflict = changed && !edit.applied;
  const text = edit?.text ?? stored;
  return (
    <Stack gap="sm">
      <Textarea
        aria-label="Manifest in YAML"
        value={text}
        onChange={(e) => {
          const base = edit === undefined || edit.applied ? stored : edit.base;
          setEdit({ text: e.currentTarget.value, base, applied: false });
          setPreviewed('');
        }}
        readOnly={readOnly}
        autosize
        minRows={8}
        maxRows={30}
        spellCheck={false}
        styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
      />
      {conflict && (
        <Conflict
          onTheirs={() => {
            setEdit(undefined);
            setPreviewed('');
          }}
          onMine={() => {
            setEdit({ ...edit, base: stored });
            setPreviewed('');
          }}
        />
      )}
      {!readOnly && !conflict && previewed === '' && (
        <Group justify="flex-end">
          <Button variant="default" onClick={() => setEdit(undefined)} disabled={text === stored}>
            Undo
          </Button>
          <Button onClick={() => setPreviewed(text)} disabled={text.trim() === ''}>
            Show what would change
          </Button>
        </Group>
      )}
      {!conflict && previewed !== '' && (
        <Preview
          manifests={previewed}
          action={action}
          onApplied={(response) => {
            setPreviewed('');
            setEdit((e) => e && { ...e, applied: true });
            onApplied?.(response);
          }}
        />
      )}
    </Stack>
  );
}
