import { Checkbox, Divider, Stack, Title } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { toYAML } from '../../api/apply';
import { fieldErrors } from '../../api/error';
import { wouldChange } from '../../api/queries';
import { Conflict } from '../../kit/Conflict';
import { Preview } from '../../kit/Preview';
import { type Draft, manifestOfDraft } from './draft';
import { Addresses, Options } from './fields';
import { GroupForm } from './GroupForm';

/** How long typing pauses before the server is asked what would change. */
const pause = 400;

/** Changes what may be changed of a peering or a group; below it, what the server says that this would do. An edit outlives others' changes, and says so. */
export function EditForm({ of, onApplied }: { of: Draft; onApplied: () => void }) {
  const stored = textOf(of);
  const [draft, setDraft] = useState(of);
  // What the edit began from.
  const [base, setBase] = useState(stored);
  const begin = () => {
    setDraft(of);
    setBase(stored);
  };
  // Nothing was edited yet, or it is stored as it was edited.
  if (stored !== base && [base, stored].includes(textOf(draft))) begin();
  const [force, setForce] = useState(false);
  const [yaml] = useDebouncedValue(textOf(draft), pause);
  // The same question as the preview's: one request, and its answer points at the fields.
  const { error } = useQuery(wouldChange(yaml, force));
  const props = {
    draft,
    onChange: (change: Partial<Draft>) => setDraft((d) => ({ ...d, ...change })),
    errors: fieldErrors(error),
  };
  return (
    <Stack>
      {draft.what === 'group' ? (
        <>
          <GroupForm {...props} named />
          <Checkbox
            checked={force}
            onChange={(e) => setForce(e.currentTarget.checked)}
            label="Delete more peerings than the limit (force)"
            description="Only for this change. Services that call each other over those peerings can no longer do so."
          />
        </>
      ) : (
        <>
          <Addresses {...props} />
          <Options {...props} />
        </>
      )}
      <Divider />
      {stored === base ? (
        <>
          <Title order={3} size="h5">
            What would change
          </Title>
          <Preview manifests={yaml} force={force} onApplied={onApplied} />
        </>
      ) : (
        <Conflict onTheirs={begin} onMine={() => setBase(stored)} />
      )}
    </Stack>
  );
}

function textOf(draft: Draft): string {
  return toYAML([manifestOfDraft(draft)]);
}
