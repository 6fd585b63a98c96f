import { Button, Code, Group, SegmentedControl, Stack, Text } from '@mantine/core';
import { IconRefresh } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { parseAsStringLiteral, useQueryState } from 'nuqs';
import { doctor } from '../../api/queries';
import type { DoctorCheck, DoctorReport } from '../../api/types';
import { DataTable, type Column } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { DatacenterLink, ResourceLink } from '../../kit/links';
import { Page } from '../../kit/Page';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { answerLook } from '../../kit/verdict';
import { useScope } from '../../shell/scope';
import { parseSubject } from './subject';

const views = ['problems', 'all'] as const;

/** Every check of the fleet, what fails first; looked at when asked for. */
export default function DoctorPage() {
  const { datacenter } = useScope();
  const query = useQuery(doctor(datacenter));
  const [view, setView] = useQueryState('view', parseAsStringLiteral(views).withDefault('problems'));
  return (
    <Page
      title="Doctor"
      actions={
        <Button
          leftSection={<IconRefresh size={16} aria-hidden />}
          loading={query.isFetching}
          onClick={() => void query.refetch()}
        >
          Run again
        </Button>
      }
    >
      <Panel title={datacenter === '' ? 'All checks' : `Checks of ${datacenter}`} query={query} onRequest>
        {(report) => (
          <Stack gap="sm">
            <Group justify="space-between">
              <Text className="num" data-testid="doctor-summary">
                {report.failed} fail, {report.unknown} unknown, {report.passed} pass
              </Text>
              <SegmentedControl
                aria-label="Which checks"
                value={view}
                onChange={(value) => void setView(value)}
                data={[
                  { value: 'problems', label: 'Problems' },
                  { value: 'all', label: 'All' },
                ]}
              />
            </Group>
            <Checks report={report} all={view === 'all'} />
          </Stack>
        )}
      </Panel>
    </Page>
  );
}

function Checks({ report, all }: { report: DoctorReport; all: boolean }) {
  const rows = all ? report.checks : report.checks.filter((c) => c.verdict !== 'pass');
  return (
    <DataTable
      label="checks"
      rows={rows}
      columns={columns}
      rowKey={(c) => `${c.id} ${c.datacenter} ${c.subject}`}
      empty={
        <Empty title={all ? 'There is nothing to check yet' : 'Everything that was checked passes'}>
          {all
            ? 'Enrol an agent in each datacenter (Access, join tokens): checks are about what agents tell.'
            : 'Choose All to see the checks and what they looked at.'}
        </Empty>
      }
    />
  );
}

const columns: Column<DoctorCheck>[] = [
  {
    id: 'result',
    header: 'Result',
    value: (c) => c.verdict,
    facet: true,
    cell: (c) => <StateBadge state={c.verdict} look={answerLook(lookOf(c))} />,
  },
  {
    id: 'message',
    header: 'What and how to mend it',
    value: (c) => [c.message, c.fix].filter((t) => t !== '').join(' '),
    cell: (c) => (
      <Stack gap={2} miw={190}>
        <Text size="sm">{c.message}</Text>
        {c.fix !== '' && c.verdict !== 'pass' && (
          <Text size="sm" fw={600}>
            {c.fix}
          </Text>
        )}
      </Stack>
    ),
  },
  {
    id: 'datacenter',
    header: 'Datacenter',
    value: (c) => c.datacenter,
    facet: true,
    cell: (c) => <DatacenterLink name={c.datacenter} />,
  },
  {
    id: 'subject',
    header: 'About',
    value: (c) => c.subject,
    cell: (c) => <ResourceLink {...parseSubject(c.subject)}>{c.subject}</ResourceLink>,
  },
  { id: 'severity', header: 'Weight', value: (c) => c.severity, facet: true },
  {
    id: 'check',
    header: 'Check',
    value: (c) => c.id,
    facet: true,
    cell: (c) => <Code>{c.id}</Code>,
  },
];

/** What fails without being an error is shown as a warning. */
function lookOf(check: DoctorCheck): string {
  return check.verdict === 'fail' && check.severity !== 'error' ? 'warning' : check.verdict;
}
