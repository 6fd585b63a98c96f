import { Text } from '@mantine/core';
import { IconArrowNarrowLeft, IconArrowNarrowRight, IconX } from '@tabler/icons-react';
import type { Peering } from '../../api/types';
import { DatacenterLink } from '../../kit/links';
import classes from './peerings.module.css';
import { endsOf, verdictOf } from './peering';

/** Both ends, and between them an arrow for each direction: crossed out where nothing arrives. */
export function Direction({ peering }: { peering: Peering }) {
  const [acceptor, dialer] = endsOf(peering);
  const broken = peering.status?.broken ?? '';
  const verdict = verdictOf(peering);
  return (
    <div className={classes.direction}>
      <End name={acceptor.name} external={acceptor.external} side="acceptor" />
      <div className={classes.ways}>
        <Way from={acceptor.name} to={dialer.name} right {...wayState(verdict, broken, 'to-dialer')} />
        <Way from={dialer.name} to={acceptor.name} {...wayState(verdict, broken, 'to-acceptor')} />
      </div>
      <End name={dialer.name} external={dialer.external} side="dialer" />
    </div>
  );
}

interface State {
  color: string;
  word: string;
  broken: boolean;
}

function wayState(verdict: string, broken: string, way: string): State {
  if (broken === way || broken === 'both') return { color: 'red', word: 'nothing arrives', broken: true };
  if (verdict === 'healthy') return { color: 'green', word: 'arrives', broken: false };
  if (broken !== '') return { color: 'green', word: 'arrives', broken: false };
  return { color: 'gray', word: verdict, broken: false };
}

function End({ name, external, side }: { name: string; external: boolean; side: string }) {
  return (
    <div className={classes.end}>
      <Text fw={600} component="div">
        <DatacenterLink name={name} external={external} />
      </Text>
      <Text size="xs" c="dimmed">
        {side}
      </Text>
    </div>
  );
}

function Way({ from, to, right = false, color, word, broken }: State & { from: string; to: string; right?: boolean }) {
  const Arrow = right ? IconArrowNarrowRight : IconArrowNarrowLeft;
  const stroke = `var(--mantine-color-${color}-text)`;
  return (
    <div className={classes.way} role="img" aria-label={`from ${from} to ${to}: ${word}`}>
      {broken && <IconX size={18} color={stroke} aria-hidden />}
      <Arrow size={26} color={stroke} aria-hidden />
      <Text size="xs" component="span" aria-hidden>
        {word}
      </Text>
    </div>
  );
}
