import { Anchor, Group, SimpleGrid, Stack, Text, Title, UnstyledButton, VisuallyHidden } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { serviceCount } from '../../api/queries';
import { StateBadge } from '../../kit/StateBadge';
import { useScope } from '../../shell/scope';
import { countStates } from './concern';
import type { Choice, Choose } from './choice';
import type { FleetMap } from './map';

/** How many there are of everything, and how they fare; a click on a state looks for it on the map. */
export function Counts({ map, choice, choose }: { map: FleetMap; choice: Choice; choose: Choose }) {
  const { datacenter, scoped } = useScope();
  const found = useQuery(serviceCount(datacenter));
  const datacenters = map.nodes.flatMap((n) => n.datacenter ?? []);
  const external = map.nodes.length - datacenters.length;
  return (
    <SimpleGrid cols={{ base: 1, sm: 3 }}>
      <Count title="Datacenters" number={datacenters.length} to={scoped('/datacenters')}>
        <States
          what="datacenters"
          states={datacenters.map((d) => d.health)}
          chosen={choice.health}
          onChoose={(health) => choose({ health })}
        />
        {external > 0 && <Text size="sm">and {external} external</Text>}
      </Count>
      <Count title="Connections" number={map.links.length} to={scoped('/peerings')}>
        <States
          what="connections"
          states={map.links.map((l) => l.verdict)}
          chosen={choice.verdict}
          onChoose={(verdict) => choose({ verdict })}
        />
      </Count>
      <Count title="Services" number={found.data} to={scoped('/services')}>
        <Text size="sm" c="dimmed">
          {found.isError
            ? 'They cannot be counted now.'
            : `different names; ${datacenters.reduce((sum, d) => sum + d.services, 0).toLocaleString('en')} over all datacenters`}
        </Text>
      </Count>
    </SimpleGrid>
  );
}

interface CountProps {
  title: string;
  number: number | undefined;
  to: string;
  children: ReactNode;
}

function Count({ title, number, to, children }: CountProps) {
  return (
    <Stack gap={4}>
      <Group gap="xs" align="baseline">
        <Text size="xl" fw={700} className="num" component="span">
          {number?.toLocaleString('en') ?? '–'}
        </Text>
        <Title order={3} size="h5">
          <Anchor component={Link} to={to} inherit underline="hover">
            {title}
          </Anchor>
        </Title>
      </Group>
      <Group gap={6}>{children}</Group>
    </Stack>
  );
}

interface StatesProps {
  what: string;
  states: string[];
  chosen: string;
  onChoose: (state: string) => void;
}

function States({ what, states, chosen, onChoose }: StatesProps) {
  return countStates(states).map(([state, n]) => (
    <UnstyledButton key={state} onClick={() => onChoose(chosen === state ? '' : state)} aria-pressed={chosen === state}>
      <Text size="sm" fw={600} className="num" component="span">
        {n}
      </Text>{' '}
      <StateBadge state={state} />
      <VisuallyHidden component="span"> {what}: show on the map</VisuallyHidden>
    </UnstyledButton>
  ));
}
