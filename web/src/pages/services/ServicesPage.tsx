import { Anchor, Button, Group, Stack, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconRoute, IconSearch } from '@tabler/icons-react';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { parseAsString, useQueryState } from 'nuqs';
import { Link } from 'react-router';
import { services } from '../../api/queries';
import type { FleetService } from '../../api/types';
import { type Column, DataTable } from '../../kit/DataTable';
import { Empty } from '../../kit/Empty';
import { PageLink } from '../../kit/links';
import { Notice } from '../../kit/Notice';
import { Page } from '../../kit/Page';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { useScope } from '../../shell/scope';
import { Places } from './Places';
import { healthOf, keyOf } from './places';

/** One search over all datacenters: where a service runs, who sees it, and why not. */
export default function ServicesPage() {
  const { datacenter } = useScope();
  const [name, setName] = useQueryState('name', parseAsString.withDefault(''));
  const [chosen, setChosen] = useQueryState('service');
  const [searched] = useDebouncedValue(name.trim(), 200);
  const query = useQuery({ ...services({ query: searched, datacenter }), placeholderData: keepPreviousData });
  return (
    <Page
      title="Services"
      actions={
        <Button component={Link} to="/explain" variant="default" leftSection={<IconRoute size={16} aria-hidden />}>
          Explain a call
        </Button>
      }
    >
      {/* Outside of what is loaded: whoever types is not interrupted, and can correct what the server refuses. */}
      <TextInput
        label="Name"
        placeholder="Part of a service's name"
        leftSection={<IconSearch size={16} aria-hidden />}
        value={name}
        onChange={(e) => void setName(e.currentTarget.value || null)}
        maw={420}
      />
      <Panel title={datacenter === '' ? 'In all datacenters' : `Seen from ${datacenter}`} query={query}>
        {(found) => (
          <Stack gap="sm">
            {found.total > found.services.length && (
              <Notice title={`The first ${found.services.length} of ${found.total} services`}>
                Type more of the name to see the others.
              </Notice>
            )}
            <DataTable
              label="services"
              rows={found.services}
              columns={columns(chosen, (key) => void setChosen(key))}
              rowKey={keyOf}
              searchable={false}
              sort="name"
              height="50vh"
              empty={
                <Empty title={searched === '' ? 'No service is known yet' : `No service is called like “${searched}”`}>
                  {searched === ''
                    ? 'Agents tell of the services of their datacenters when they are enrolled and reach their Consul.'
                    : 'A service that should be here and is not: ask Explain for the way to it.'}{' '}
                  <PageLink to="/explain" underlined>
                    Explain
                  </PageLink>
                </Empty>
              }
            />
            <Chosen service={found.services.find((s) => keyOf(s) === chosen)} name={chosen} />
          </Stack>
        )}
      </Panel>
    </Page>
  );
}

function Chosen({ service, name }: { service: FleetService | undefined; name: string | null }) {
  if (name === null) return null;
  if (service === undefined) {
    return <Text size="sm">{name} is not among these services.</Text>;
  }
  return <Places service={service} />;
}

function columns(chosen: string | null, choose: (key: string) => void): Column<FleetService>[] {
  return [
    {
      id: 'name',
      header: 'Service',
      value: keyOf,
      cell: (s) => (
        <Anchor
          component="button"
          type="button"
          size="sm"
          aria-pressed={chosen === keyOf(s)}
          fw={chosen === keyOf(s) ? 700 : undefined}
          onClick={() => choose(keyOf(s))}
        >
          {keyOf(s)}
        </Anchor>
      ),
    },
    {
      id: 'health',
      header: 'Health',
      value: (s) => healthOf(s).state,
      facet: true,
      cell: (s) => <StateBadge {...healthOf(s)} />,
    },
    { id: 'healthy', header: 'Healthy', value: (s) => s.healthy },
    { id: 'instances', header: 'Instances', value: (s) => s.instances },
    {
      id: 'runs',
      header: 'Runs in',
      value: (s) =>
        s.places
          .filter((p) => p.peer === '')
          .map((p) => p.datacenter)
          .join(', '),
    },
    {
      id: 'seen',
      header: 'Seen in',
      value: (s) =>
        [...new Set(s.places.flatMap((p) => (p.peer === '' ? p.federatedTo : [p.datacenter])))].sort().join(', '),
    },
    {
      id: 'mesh',
      header: 'Mesh',
      value: (s) => (s.places.some((p) => p.mesh) ? 'yes' : 'no'),
      facet: true,
      cell: (s) => <Group gap={4}>{s.places.some((p) => p.mesh) ? 'yes' : 'no'}</Group>,
    },
  ];
}
