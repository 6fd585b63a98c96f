import type { UseQueryResult } from '@tanstack/react-query';
import type { Federation } from '../../api/types';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { DatacenterLink } from '../../kit/links';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { answerLook } from '../../kit/verdict';

type Check = NonNullable<Federation['status']>['checks'][number];

/** What Consul demands of the members, and what their networks have to let through. */
export function Rules({ query }: { query: UseQueryResult<Federation> }) {
  return (
    <Panel title="Rules and network requirements" query={query}>
      {(f) => (
        <DataTable
          label="rules"
          rows={f.status?.checks ?? []}
          columns={columns}
          rowKey={(c) => `${c.id} ${c.datacenter} ${c.peer}`}
          empty={<Empty title="Nobody has looked at it yet" />}
        />
      )}
    </Panel>
  );
}

const columns: Column<Check>[] = [
  {
    id: 'result',
    header: 'Result',
    value: (c) => c.verdict,
    facet: true,
    cell: (c) => <StateBadge state={c.verdict} look={answerLook(c.verdict)} />,
  },
  { id: 'rule', header: 'Rule', value: (c) => c.id, facet: true },
  {
    id: 'datacenter',
    header: 'Datacenter',
    value: (c) => c.datacenter,
    facet: true,
    cell: (c) => <DatacenterLink name={c.datacenter} />,
  },
  { id: 'peer', header: 'Other end', value: (c) => c.peer },
  {
    id: 'message',
    header: 'What and how to mend it',
    value: (c) => [c.message, c.verdict === 'pass' ? '' : c.fix].filter((t) => t !== '').join(' '),
  },
];
