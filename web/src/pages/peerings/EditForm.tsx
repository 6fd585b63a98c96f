import { Checkbox, Divider, Stack, Title } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { dryRun, toYAML } from '../../api/apply';
import { fieldErrors } from '../../api/error';
import { Preview } from '../../kit/Preview';
import { type Draft, manifestOfDraft } from './draft';
import { Addresses, Options } from './fields';
import { GroupForm } from './GroupForm';

/** How long typing pauses before the server is asked what would change. */
const pause = 400;

/** Changes what may be changed of a peering or a group; below it, what the server says that this would do. */
export function EditForm({ of, onApplied }: { of: Draft; onApplied: () => void }) {
  const [draft, setDraft] = useState(of);
  const [force, setForce] = useState(false);
  const [yaml] = useDebouncedValue(toYAML([manifestOfDraft(draft)]), pause);
  // The same question as the preview's: one request, and its answer points at the fields.
  const { error } = useQuery({ queryKey: ['dry-run', yaml, force], queryFn: () => dryRun(yaml, force), retry: false });
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
      <Title order={3} size="h5">
        What would change
      </Title>
      <Preview manifests={yaml} force={force} onApplied={onApplied} />
    </Stack>
  );
}
