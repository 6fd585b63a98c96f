import { Text } from '@mantine/core';
import { IconCircle, IconCircleCheck, IconProgress } from '@tabler/icons-react';
import type { UseQueryResult } from '@tanstack/react-query';
import type { Peering } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { Panel } from '../../kit/Panel';
import { parseTime, span } from '../../kit/time';
import { progress, type Step, verdictOf } from './peering';
import classes from './peerings.module.css';

const looks = {
  done: { icon: IconCircleCheck, color: 'green', word: 'done' },
  now: { icon: IconProgress, color: 'blue', word: 'under way' },
  later: { icon: IconCircle, color: 'gray', word: 'later' },
} as const;

/** How far a peering is on its way from declared to healthy, or a new token on its way to be used. */
export function ProgressPanel({ query }: { query: UseQueryResult<Peering> }) {
  return (
    <Panel title="On its way" query={query}>
      {(p) => {
        const steps = progress(p);
        const done = steps.every((s) => s.state === 'done');
        return (
          <>
            <ol className={classes.steps} aria-label="Steps">
              {steps.map((step) => (
                <OneStep key={step.title} step={step} />
              ))}
            </ol>
            <Text size="sm" role="status">
              {done ? ended(p) : `Now: ${steps.find((s) => s.state === 'now')?.title ?? verdictOf(p)}.`}
            </Text>
          </>
        );
      }}
    </Panel>
  );
}

/** How long it took, when it is the first time. */
function ended(p: Peering): string {
  const [from, to] = [parseTime(p.createTime), parseTime(p.status?.verdictSince)];
  const first = p.status?.token?.generation === 1 && from !== undefined && to !== undefined;
  return first ? `Healthy, ${span(to - from)} after it was declared.` : 'Healthy.';
}

function OneStep({ step }: { step: Step }) {
  const { icon: Icon, color, word } = looks[step.state];
  return (
    <li className={classes.step} data-state={step.state}>
      <Icon size={20} color={`var(--mantine-color-${color}-text)`} aria-label={word} role="img" />
      <div>
        <Text size="sm" fw={step.state === 'now' ? 600 : 400} component="span">
          {step.title}
        </Text>{' '}
        <Text size="xs" c="dimmed" component="span">
          {step.detail} {step.state === 'done' && step.time !== undefined && <Ago time={step.time} />}
        </Text>
      </div>
    </li>
  );
}
