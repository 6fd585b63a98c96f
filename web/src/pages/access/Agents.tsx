import { List, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { answer, api } from '../../api/client';
import { list } from '../../api/queries';
import type { Agent } from '../../api/types';
import { ConfirmButton } from '../../kit/ConfirmButton';
import { Command } from '../../kit/Copy';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { Expiry } from '../../kit/Expiry';
import { Liveness } from '../../kit/Liveness';
import { DatacenterLink } from '../../kit/links';
import { Panel } from '../../kit/Panel';
import { command } from '../../kit/shell';
import { StateBadge } from '../../kit/StateBadge';
import { agentCertificateSoon } from '../../kit/time';
import { verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';
import { useSession } from '../../shell/context';
import { useScope } from '../../shell/scope';
import classes from './access.module.css';

/** Enrolled agents and gateways; those that nobody trusts first, with what makes them trusted. */
export function Agents() {
  const { mayOperate } = useSession();
  const { datacenter } = useScope();
  const query = useQuery(list('Agent'));
  return (
    <Panel title="Agents" query={query}>
      {(all) => {
        const agents = all.filter((a) => datacenter === '' || a.spec?.datacenter === datacenter);
        const strangers = agents.filter((a) => a.status?.trust === 'none');
        return (
          <Stack>
            {strangers.map((a) => (
              <Stranger key={a.uid} agent={a} />
            ))}
            <DataTable
              label="agents"
              rows={agents}
              columns={mayOperate ? [...columns, actions] : columns}
              rowKey={(a) => a.uid}
              sort="name"
              empty={
                <Empty title="No agent is enrolled">
                  Make a join token in the next tab and start an agent with it in each datacenter.
                </Empty>
              }
            />
          </Stack>
        );
      }}
    </Panel>
  );
}

/** An agent that enrolled without the fleet key: nobody seals to it until somebody with the fleet key approves it. */
function Stranger({ agent }: { agent: Agent }) {
  return (
    <Stack gap="xs" role="status">
      <Text fw={600}>
        Agent {agent.name} of {agent.spec?.datacenter} waits for approval
      </Text>
      <Text size="sm">
        Nobody seals secrets to it yet. On the machine with the fleet key, with the fingerprint that the agent&apos;s
        own log shows on its host:
      </Text>
      <Command
        text={command`isthmus agent approve ${agent.name} --fingerprint SHA256:…`}
        what={`the command that approves ${agent.name}`}
      />
      <List size="sm">
        <List.Item>
          The server knows it with <span className="mono">{agent.status?.fingerprint}</span>. Compare, do not copy:
          where the log shows another one, delete this agent.
        </List.Item>
      </List>
    </Stack>
  );
}

const columns: Column<Agent>[] = [
  {
    id: 'name',
    header: 'Agent',
    value: (a) => a.name,
    cell: (a) => <span className={`mono ${classes.name}`}>{a.name}</span>,
  },
  {
    id: 'datacenter',
    header: 'Datacenter',
    value: (a) => a.spec?.datacenter ?? '',
    facet: true,
    cell: (a) => <DatacenterLink name={a.spec?.datacenter ?? ''} />,
  },
  { id: 'kind', header: 'Kind', value: (a) => a.spec?.kind ?? '', facet: true },
  {
    id: 'liveness',
    header: 'State',
    value: (a) => a.status?.liveness ?? 'unknown',
    facet: true,
    cell: (a) => <Liveness status={a.status} />,
  },
  {
    id: 'trust',
    header: 'Trust',
    value: (a) => a.status?.trust ?? '',
    facet: true,
    cell: (a) => (
      <StateBadge
        state={a.status?.trust ?? 'none'}
        look={verdictLook(a.status?.trust === 'none' ? 'stale' : 'healthy')}
        hint={trustMeans[a.status?.trust ?? '']}
      />
    ),
  },
  {
    id: 'leader',
    header: 'Leads',
    value: (a) => (a.status?.leader === true ? 'yes' : ''),
  },
  { id: 'version', header: 'Version', value: (a) => a.status?.version ?? '', facet: true },
  {
    id: 'host',
    header: 'Host',
    value: (a) => a.status?.host ?? '',
    cell: (a) => <span className={classes.name}>{a.status?.host}</span>,
  },
  {
    id: 'certificate',
    header: 'Certificate ends',
    value: (a) => a.status?.certificateExpireTime ?? '',
    cell: (a) => <Expiry time={a.status?.certificateExpireTime} within={agentCertificateSoon} />,
  },
];

const trustMeans = words<string>({
  fleet: 'Its join token was signed with the fleet key.',
  approved: 'Approved with the fleet key after it enrolled.',
  none: 'Enrolled without the fleet key: nobody seals secrets to it, and its reports count for little.',
});

const actions: Column<Agent> = {
  id: 'actions',
  header: 'Actions',
  value: () => '',
  cell: (a) => <DeleteAgent agent={a} />,
};

function DeleteAgent({ agent: { name } }: { agent: Agent }) {
  return (
    <ConfirmButton
      title={`Delete agent ${name}`}
      action="Delete"
      typed={name}
      onConfirm={() => answer(api.DELETE('/v1/agents/{name}', { params: { path: { name } } }))}
      inTable
    >
      <Text size="sm">
        It is refused from then on, and secrets are no longer sealed to it. Its Consul keeps working as it is. To come
        back it has to enrol again, in an empty data directory.
      </Text>
    </ConfirmButton>
  );
}
