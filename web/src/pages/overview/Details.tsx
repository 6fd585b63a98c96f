import { Anchor, CloseButton, Group, Stack, Text, Title } from '@mantine/core';
import { Ago } from '../../kit/Ago';
import { Facts } from '../../kit/Facts';
import { Labels } from '../../kit/Labels';
import { ResourceLink } from '../../kit/links';
import { StateBadge } from '../../kit/StateBadge';
import { CheckLink } from './CheckLink';
import { healthOf, isLink, isWrong, type MapLink, type MapNode } from './map';
import { brokenWords, kindName } from './words';

interface Props {
  about: MapNode | MapLink;
  onClose: () => void;
  /** Looks at another one, by its id. */
  onChoose: (id: string) => void;
}

/** What is known of the node or link that was clicked, and the way to its page. */
export function Details({ about, onClose, onChoose }: Props) {
  const title = isLink(about) ? `${about.a} – ${about.b}` : about.name;
  return (
    <Stack gap="xs" component="section" aria-label={`Details of ${title}`}>
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <Title order={3} size="h5">
          {title}
        </Title>
        <CloseButton aria-label="Close the details" onClick={onClose} size="sm" />
      </Group>
      {isLink(about) ? <LinkDetails link={about} /> : <NodeDetails node={about} onChoose={onChoose} />}
    </Stack>
  );
}

function LinkDetails({ link: { link } }: { link: MapLink }) {
  return (
    <>
      <Group gap="xs">
        <StateBadge state={link.verdict} />
        <Text size="xs" c="dimmed">
          <Ago time={link.since} />
        </Text>
      </Group>
      <Facts facts={[[kindName(link.kind), <ResourceLink key="r" kind={kindName(link.kind)} name={link.name} />]]} />
      {link.broken !== '' && <Text size="sm">{brokenWords(link)}</Text>}
      {link.message !== '' && (
        <Text size="sm">
          <b>{link.reason}</b>: {link.message}
        </Text>
      )}
      <Ways kind={kindName(link.kind)} name={link.name} doctor={isWrong(link.verdict) ? link.a : ''} />
    </>
  );
}

function NodeDetails({ node, onChoose }: { node: MapNode; onChoose: (id: string) => void }) {
  const { datacenter: dc, links } = node;
  const wrong = links.filter((l) => isWrong(l.verdict));
  return (
    <>
      {dc === undefined ? (
        <Text size="sm">A cluster of another operator: only its connections are known.</Text>
      ) : (
        <>
          <Group gap="xs">
            <StateBadge state={healthOf(node)} />
            <Text size="xs" c="dimmed">
              <Ago time={dc.since} />
            </Text>
          </Group>
          {dc.message !== '' && (
            <Text size="sm">
              <b>{dc.reason}</b>: {dc.message}
            </Text>
          )}
          {dc.fix !== '' && <Text size="sm">To do: {dc.fix}</Text>}
          <Facts
            facts={[
              ['Runtime', dc.runtime === 'kubernetes' ? 'Kubernetes' : 'VMs'],
              ['Consul', dc.consulVersion],
              [
                'Servers',
                dc.servers === 0 ? '' : `${dc.servers}, ${dc.leader === '' ? 'no leader' : `led by ${dc.leader}`}`,
              ],
              ['Services', dc.services],
              ['Agents', `${dc.agentsOnline} of ${dc.agents} online`],
              [
                'Federation',
                dc.federation === '' ? undefined : (
                  <>
                    <ResourceLink kind="Federation" name={dc.federation} /> ({dc.role})
                  </>
                ),
              ],
              ['Labels', Object.keys(dc.labels).length === 0 ? undefined : <Labels key="l" labels={dc.labels} />],
            ]}
          />
        </>
      )}
      <Text size="sm">
        {links.length} {links.length === 1 ? 'connection' : 'connections'}
        {wrong.length > 0 && `, ${wrong.length} of them wrong:`}
      </Text>
      {wrong.slice(0, 6).map((l) => (
        <Group key={l.id} gap="xs" wrap="nowrap">
          <StateBadge state={l.verdict} />
          <Anchor component="button" size="sm" ta="left" onClick={() => onChoose(l.id)}>
            {l.kind} {l.a} – {l.b}
          </Anchor>
        </Group>
      ))}
      {dc !== undefined && <Ways kind="Datacenter" name={dc.name} doctor={isWrong(dc.health) ? dc.name : ''} />}
    </>
  );
}

/** The page of a resource, and the checks of a datacenter. */
function Ways({ kind, name, doctor }: { kind: string; name: string; doctor: string }) {
  return (
    <Group gap="md">
      <ResourceLink kind={kind} name={name}>
        Open {kind.toLowerCase()}
      </ResourceLink>
      {doctor !== '' && <CheckLink datacenter={doctor} />}
    </Group>
  );
}
