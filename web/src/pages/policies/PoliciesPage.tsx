import { Button, Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { parseAsStringLiteral, useQueryState } from 'nuqs';
import { Link } from 'react-router';
import { list } from '../../api/queries';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { PageLink } from '../../kit/links';
import { Page } from '../../kit/Page';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { useSession } from '../../shell/context';
import { useScope } from '../../shell/scope';
import { type Policy, policyKinds, type PolicyKind, stateOf, titles, where } from './kinds';
import { does } from './words';

/** Which services are seen where, who may call them, and where calls go. */
export default function PoliciesPage() {
  const { mayOperate } = useSession();
  const [kind, setKind] = useQueryState('kind', parseAsStringLiteral(policyKinds).withDefault('ServiceExport'));
  return (
    <Page
      title="Policies"
      actions={
        mayOperate && (
          <Button component={Link} to={`/policies/new?kind=${kind}`}>
            New policy
          </Button>
        )
      }
    >
      <Tabs
        value={kind}
        onChange={(next) => void setKind(policyKinds.find((k) => k === next) ?? null)}
        keepMounted={false}
      >
        <Tabs.List mb="md" aria-label="Kinds of policies">
          {policyKinds.map((k) => (
            <Tabs.Tab key={k} value={k}>
              {titles[k]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {policyKinds.map((k) => (
          <Tabs.Panel key={k} value={k}>
            <Table kind={k} />
          </Tabs.Panel>
        ))}
      </Tabs>
    </Page>
  );
}

function Table({ kind }: { kind: PolicyKind }) {
  const { datacenter } = useScope();
  const query = useQuery(list(kind));
  return (
    <Panel title={titles[kind]} query={query}>
      {(policies) => (
        <DataTable
          label={titles[kind].toLowerCase()}
          rows={policies.filter((p) => datacenter === '' || concerns(p, datacenter))}
          columns={columns(kind)}
          rowKey={(p) => p.uid}
          sort="name"
          empty={<Empty title={`There are no ${titles[kind].toLowerCase()}`}>{nothing[kind]}</Empty>}
        />
      )}
    </Panel>
  );
}

const nothing: Record<PolicyKind, string> = {
  ServiceExport: 'Peered datacenters see no service of each other before one is exported.',
  Intention: "Who may call whom is then what each datacenter's own default says.",
  TrafficPolicy: 'Calls go to the datacenter that they are for, and fail when nothing is healthy there.',
};

/** A policy that names a datacenter, or stands somewhere in it. */
function concerns(policy: Policy, datacenter: string): boolean {
  return (
    policy.status?.placements.some(
      (p) => p.datacenter === datacenter || ('members' in p && p.members.includes(datacenter)),
    ) === true
  );
}

function columns(kind: PolicyKind): Column<Policy>[] {
  return [
    {
      id: 'name',
      header: 'Policy',
      value: (p) => p.name,
      cell: (p) => (
        <PageLink to={`/policies/${kind}/${encodeURIComponent(p.name)}`} strong>
          {p.name}
        </PageLink>
      ),
    },
    {
      id: 'state',
      header: 'State',
      value: (p) => stateOf(p).state,
      facet: true,
      cell: (p) => <StateBadge {...stateOf(p)} />,
    },
    { id: 'service', header: 'Service', value: serviceOf },
    { id: 'where', header: kind === 'TrafficPolicy' ? 'Callers in' : 'Of', value: whereOf },
    { id: 'does', header: 'What it does', value: does },
    { id: 'applied', header: 'Applied', value: (p) => `${p.status?.applied ?? 0} of ${p.status?.datacenters ?? 0}` },
    {
      id: 'problems',
      header: 'Problems',
      value: (p) =>
        p.status !== undefined && 'problems' in p.status ? p.status.problems.map((x) => x.reason).join(', ') : '',
    },
  ];
}

function serviceOf(policy: Policy): string {
  const spec = policy.spec;
  if (spec === undefined) return '';
  return 'destination' in spec ? (spec.destination?.service ?? '') : spec.service;
}

function whereOf(policy: Policy): string {
  const spec = policy.spec;
  if (spec === undefined) return '';
  return 'destination' in spec ? where(spec.destination) : where(spec);
}
