import { Anchor, Button, Group, Stack, Text, VisuallyHidden } from '@mantine/core';
import { useMemo, useState } from 'react';
import { Ago } from '../../kit/Ago';
import { Empty } from '../../kit/Empty';
import { ResourceLink } from '../../kit/links';
import { StateBadge } from '../../kit/StateBadge';
import { verdictLook } from '../../kit/verdict';
import { type Concern, concerns, idOf } from './concern';
import { CheckLink } from './CheckLink';
import classes from './graph.module.css';
import { type FleetMap, healthOf } from './map';
import { brokenWords, kindName } from './words';

/** So many are shown at first. */
const first = 6;

/** What is wrong, the worst first, each with what to do about it. */
export function Attention({ map, onShow }: { map: FleetMap; onShow: (id: string) => void }) {
  const all = useMemo(() => concerns(map), [map]);
  const [more, setMore] = useState(1);
  if (all.length === 0) {
    return <Empty title="Nothing needs attention">No datacenter and no connection is known to be wrong.</Empty>;
  }
  const shown = all.slice(0, first * more);
  return (
    <Stack gap="xs">
      <ol className={classes.list}>
        {shown.map((c) => (
          <Item key={idOf(c)} concern={c} onShow={() => onShow(idOf(c))} />
        ))}
      </ol>
      {shown.length < all.length && (
        <Button variant="default" size="xs" onClick={() => setMore((n) => n * 2)}>
          More ({all.length - shown.length})
        </Button>
      )}
    </Stack>
  );
}

function Item({ concern, onShow }: { concern: Concern; onShow: () => void }) {
  const state = 'link' in concern ? concern.link.verdict : healthOf(concern.node);
  const about = 'link' in concern ? ofLink(concern) : ofNode(concern);
  return (
    <li
      className={classes.concern}
      style={{ borderLeftColor: `var(--mantine-color-${verdictLook(state).color}-filled)` }}
    >
      <Stack gap={4}>
        <Group gap="xs">
          <StateBadge state={state} />
          <b>{about.title}</b>
          <Text size="xs" c="dimmed">
            <Ago time={about.since} />
          </Text>
        </Group>
        <Text size="sm">
          <b>{about.reason}</b>
          {about.message !== '' && `: ${about.message}`}
        </Text>
        {about.more !== '' && <Text size="sm">{about.more}</Text>}
        {about.fix !== '' && <Text size="sm">To do: {about.fix}</Text>}
        <Group gap="md">
          <CheckLink datacenter={about.check} />
          <Anchor component="button" size="sm" onClick={onShow}>
            Show on the map
            <VisuallyHidden component="span"> ({about.name})</VisuallyHidden>
          </Anchor>
        </Group>
      </Stack>
    </li>
  );
}

function ofNode({ node, affected }: Extract<Concern, { node: unknown }>) {
  const { name, datacenter } = node;
  const [wrong, all] = [affected.length, node.links.length];
  const more =
    wrong === 0
      ? ''
      : all === 1
        ? 'Its only connection is not healthy either.'
        : `${wrong} of its ${all} connections ${wrong === 1 ? 'is' : 'are'} not healthy either.`;
  return {
    name,
    title: <ResourceLink kind="Datacenter" name={name} />,
    since: datacenter?.since,
    reason: datacenter?.reason ?? '',
    message: datacenter?.message ?? '',
    more,
    fix: datacenter?.fix ?? '',
    check: name,
  };
}

function ofLink({ link: { link } }: Extract<Concern, { link: unknown }>) {
  const kind = kindName(link.kind);
  return {
    name: `${link.a} – ${link.b}`,
    title: (
      <ResourceLink kind={kind} name={link.name}>
        {link.a} – {link.b}
      </ResourceLink>
    ),
    since: link.since,
    reason: link.reason,
    message: link.message,
    more: brokenWords(link),
    fix: '',
    check: link.a,
  };
}
