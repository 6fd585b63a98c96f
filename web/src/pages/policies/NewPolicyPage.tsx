import { Button, Group, SegmentedControl, Stack, TextInput } from '@mantine/core';
import { parseAsStringLiteral, useQueryState } from 'nuqs';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { toYAML } from '../../api/apply';
import { Page } from '../../kit/Page';
import { Editor } from './Editor';
import { ExportForm } from './forms/ExportForm';
import { IntentionForm } from './forms/IntentionForm';
import { TrafficForm } from './forms/TrafficForm';
import { policyKinds, type PolicyKind } from './kinds';

const names: Record<PolicyKind, string> = {
  ServiceExport: 'Export',
  Intention: 'Intention',
  TrafficPolicy: 'Traffic policy',
};

/** A new policy: by a form, which writes the manifest, or as the manifest itself. */
export default function NewPolicyPage() {
  const navigate = useNavigate();
  const [kind, setKind] = useQueryState('kind', parseAsStringLiteral(policyKinds).withDefault('ServiceExport'));
  const [name, setName] = useState('');
  const [spec, setSpec] = useState<object>({});
  const [text, setText] = useState('');
  if (text !== '') {
    return (
      <Page title={`New policy: ${names[kind]}`}>
        <Stack>
          <Editor
            text={text}
            action="Declare"
            onApplied={() => void navigate(`/policies/${kind}/${encodeURIComponent(name.trim())}`)}
          />
          <Button variant="default" w="fit-content" onClick={() => setText('')}>
            Back to the form
          </Button>
        </Stack>
      </Page>
    );
  }
  return (
    <Page title="New policy">
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
          description="Letters, digits and dashes; it cannot be changed later."
          required
          value={name}
          onChange={(e) => setName(e.currentTarget.value)}
        />
        {kind === 'ServiceExport' && <ExportForm onSpec={setSpec} />}
        {kind === 'Intention' && <IntentionForm onSpec={setSpec} />}
        {kind === 'TrafficPolicy' && <TrafficForm onSpec={setSpec} />}
        <Group justify="flex-end">
          <Button disabled={name.trim() === ''} onClick={() => setText(toYAML([{ kind, name: name.trim(), spec }]))}>
            Go on to the manifest
          </Button>
        </Group>
      </Stack>
    </Page>
  );
}
