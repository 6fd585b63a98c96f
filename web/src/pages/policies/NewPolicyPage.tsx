import { Box, Button, Group, SegmentedControl, Stack, TextInput } from '@mantine/core';
import { parseAsStringLiteral, useQueryState } from 'nuqs';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { toYAML } from '../../api/apply';
import type { ApplyResponse } from '../../api/types';
import { Empty } from '../../kit/Empty';
import { Page } from '../../kit/Page';
import { useSession } from '../../shell/context';
import { useScope } from '../../shell/scope';
import { Editor } from './Editor';
import { ExportForm } from './forms/ExportForm';
import { IntentionForm } from './forms/IntentionForm';
import { TrafficForm } from './forms/TrafficForm';
import { policyKind, policyKinds, type PolicyKind } from './kinds';

const names: Record<PolicyKind, string> = {
  ServiceExport: 'Export',
  Intention: 'Intention',
  TrafficPolicy: 'Traffic policy',
};

/** A new policy: by a form, which writes the manifest, or as the manifest itself. */
export default function NewPolicyPage() {
  const { mayOperate } = useSession();
  return (
    <Page title="New policy">
      {mayOperate ? <NewPolicy /> : <Empty title="Only operators make policies">Ask one, or an admin.</Empty>}
    </Page>
  );
}

function NewPolicy() {
  const navigate = useNavigate();
  const { scoped } = useScope();
  const [kind, setKind] = useQueryState('kind', parseAsStringLiteral(policyKinds).withDefault('ServiceExport'));
  const [name, setName] = useState('');
  const [spec, setSpec] = useState<object>({});
  const [text, setText] = useState('');
  // The manifest may have been given another name, or more than one policy.
  const onApplied = ({ changes }: ApplyResponse) => {
    const first = changes.find((c) => policyKind(c.kind) !== undefined);
    void navigate(first === undefined ? '/policies' : `/policies/${first.kind}/${encodeURIComponent(first.name)}`);
  };
  return (
    <>
      {text !== '' && (
        <Stack>
          <Editor text={text} action="Declare" onApplied={onApplied} />
          <Button variant="default" w="fit-content" onClick={() => setText('')}>
            Back to the form
          </Button>
        </Stack>
      )}
      {/* Hidden, not taken out: whoever comes back finds what they typed. */}
      <Box
        component="form"
        display={text === '' ? undefined : 'none'}
        onSubmit={(event: React.SubmitEvent) => {
          event.preventDefault();
          setText(toYAML([{ kind, name: name.trim(), spec }]));
        }}
      >
        <Stack maw={760}>
          <SegmentedControl
            aria-label="Kind of policy"
            value={kind}
            onChange={(next) => {
              setSpec({});
              void setKind(next);
            }}
            data={policyKinds.map((k) => ({ value: k, label: names[k] }))}
          />
          <TextInput
            label="Name of the policy"
            description="Lower-case letters, digits and dashes; it cannot be changed later."
            required
            value={name}
            onChange={(e) => setName(e.currentTarget.value)}
          />
          {kind === 'ServiceExport' && <ExportForm onSpec={setSpec} />}
          {kind === 'Intention' && <IntentionForm onSpec={setSpec} />}
          {kind === 'TrafficPolicy' && <TrafficForm onSpec={setSpec} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={() => void navigate(scoped('/policies'))}>
              Cancel
            </Button>
            <Button type="submit">Go on to the manifest</Button>
          </Group>
        </Stack>
      </Box>
    </>
  );
}
