import { Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useParams } from 'react-router';
import { answer, api } from '../../api/client';
import { toYAML } from '../../api/apply';
import { one } from '../../api/queries';
import { ConfirmButton } from '../../kit/ConfirmButton';
import { EventsPanel } from '../../kit/EventsPanel';
import { Gone, isGone } from '../../kit/Gone';
import { Notice } from '../../kit/Notice';
import { Page } from '../../kit/Page';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { NotFound } from '../../shell/NotFound';
import { useSession } from '../../shell/context';
import { Editor } from './Editor';
import { type Policy, policyKind, type PolicyKind, stateOf } from './kinds';
import { Placements } from './Placements';
import { Problems } from './Problems';

/** One policy: how it stands in each Consul, what is in its way, and its text. */
export default function PolicyPage() {
  const { kind, name = '' } = useParams();
  const known = policyKind(kind);
  return known === undefined ? <NotFound /> : <Known kind={known} name={name} />;
}

function Known({ kind, name }: { kind: PolicyKind; name: string }) {
  const { mayOperate } = useSession();
  const query = useQuery(one(kind, name));
  if (isGone(query.error)) {
    return <Gone kind={kind} name={name} title={`${kind} ${name}`} list={`/policies?kind=${kind}`} all="All of them" />;
  }
  const policy = query.data;
  const state = policy === undefined ? undefined : stateOf(policy);
  return (
    <Page
      title={`${kind} ${name}`}
      badge={state !== undefined && <StateBadge {...state} />}
      actions={mayOperate && policy?.deleteTime === undefined && <DeletePolicy kind={kind} name={name} />}
    >
      {state !== undefined && state.state !== 'applied' && (
        <Notice title={state.hint} warning={state.state === 'not applied'} />
      )}
      {policy?.status !== undefined && 'problems' in policy.status && policy.status.problems.length > 0 && (
        <Problems problems={policy.status.problems} />
      )}
      <Panel title="In each Consul" query={query}>
        {(p) => <Placements policy={p} />}
      </Panel>
      <Panel title="Manifest" query={query}>
        {(p) => <Manifest kind={kind} policy={p} editable={mayOperate} />}
      </Panel>
      <EventsPanel kind={kind} target={name} />
    </Page>
  );
}

function Manifest({ kind, policy, editable }: { kind: PolicyKind; policy: Policy; editable: boolean }) {
  const text = toYAML([{ kind, name: policy.name, labels: policy.labels, spec: policy.spec ?? {} }]);
  return <Editor text={text} readOnly={!editable} />;
}

function DeletePolicy({ kind, name }: { kind: PolicyKind; name: string }) {
  const navigate = useNavigate();
  const remove = () => {
    const params = { params: { path: { name } } };
    if (kind === 'ServiceExport') return answer(api.DELETE('/v1/service-exports/{name}', params));
    if (kind === 'Intention') return answer(api.DELETE('/v1/intentions/{name}', params));
    return answer(api.DELETE('/v1/traffic-policies/{name}', params));
  };
  return (
    <ConfirmButton
      title={`Delete ${kind} ${name}`}
      action="Delete"
      typed={name}
      onConfirm={async () => {
        const { outcome } = await remove();
        if (outcome === 'deleted') void navigate(`/policies?kind=${kind}`);
      }}
    >
      <Text size="sm">What it added to Consul&apos;s config entries is taken out; what others wrote there stays.</Text>
    </ConfirmButton>
  );
}
