import { Group, SegmentedControl, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { parseAsStringLiteral, useQueryStates } from 'nuqs';
import { lazy, Suspense, useCallback, useMemo, useState } from 'react';
import { part } from '../../../api/code';
import { trend } from '../../../api/queries';
import type { Trend } from '../../../api/types';
import { Ago } from '../../../kit/Ago';
import { Empty } from '../../../kit/Empty';
import { Panel } from '../../../kit/Panel';
import { exact, parseTime, relative } from '../../../kit/time';
import { curvesOf, pointAt, saidOf, type Thing, things, titles, wordsOf, worstOf } from './curve';
import { lineOf, shadeOf } from './look';
import classes from './trend.module.css';
import { TrendTable } from './TrendTable';

const Chart = lazy(() => part(() => import('./Chart')));

const windows = { '1h': 3600, '24h': 86_400 } as const;
const choices = {
  trend: parseAsStringLiteral(['1h', '24h']).withDefault('1h'),
  as: parseAsStringLiteral(['curves', 'table']).withDefault('curves'),
};

/** How many datacenters and connections were not healthy, over time. */
export function TrendPanel() {
  const [choice, setChoice] = useQueryStates(choices, { urlKeys: { as: 'trend-as' } });
  const query = useQuery(trend(choice.trend));
  return (
    <Panel
      title="Over time"
      query={query}
      onRequest
      actions={
        <Group gap="xs">
          <SegmentedControl
            size="xs"
            aria-label="How far back"
            data={[
              { value: '1h', label: 'Hour' },
              { value: '24h', label: 'Day' },
            ]}
            value={choice.trend}
            onChange={(value) => void setChoice({ trend: value })}
          />
          <SegmentedControl
            size="xs"
            aria-label="Shown as"
            data={[
              { value: 'curves', label: 'Curves' },
              { value: 'table', label: 'Table' },
            ]}
            value={choice.as}
            onChange={(value) => void setChoice({ as: value })}
          />
        </Group>
      }
    >
      {(data) => (
        <>
          <Begin trend={data} seconds={windows[choice.trend]} />
          {data.points.length === 0 && (
            <Empty title="Nothing has been counted yet">The server counts every few seconds; wait a moment.</Empty>
          )}
          {data.points.length > 0 && choice.as === 'table' && <TrendTable trend={data} />}
          {data.points.length > 0 && choice.as === 'curves' && (
            <SimpleGrid cols={{ base: 1, sm: 2 }}>
              {things.map((thing) => (
                <Curves key={thing} trend={data} thing={thing} seconds={windows[choice.trend]} />
              ))}
            </SimpleGrid>
          )}
        </>
      )}
    </Panel>
  );
}

/** Says since when there is anything, where that is not as long as what is shown. */
function Begin({ trend: { beginTime, time }, seconds }: { trend: Trend; seconds: number }) {
  const [begin, now] = [parseTime(beginTime), parseTime(time)];
  if (begin === undefined || now === undefined || now - begin >= seconds * 1000) return null;
  return (
    <Text size="sm" c="dimmed">
      Counted since this server was started, <Ago time={begin} />: of before there is nothing.
    </Text>
  );
}

/** One thing's curves, what they mean, and in words what is pointed at, or else when it was worst. */
function Curves({ trend: data, thing, seconds }: { trend: Trend; thing: Thing; seconds: number }) {
  const [pointed, setPointed] = useState<number>();
  const onPoint = useCallback((at: number | undefined) => setPointed(at), []);
  const curves = useMemo(() => curvesOf(data, thing), [data, thing]);
  const now = (parseTime(data.time) ?? 0) / 1000;
  const last = data.points.at(-1);
  const worst = worstOf(data.points, thing);
  const current = last === undefined ? '' : saidOf(last, thing);
  const worstAt = parseTime(worst?.time) ?? 0;
  const most =
    worst === undefined
      ? 'None of them needed anybody.'
      : `At worst ${saidOf(worst, thing)}, ${relative(worstAt, now * 1000)}.`;
  const shown = pointed === undefined ? undefined : pointAt(data.points, pointed);
  return (
    <Stack gap={4}>
      <Title order={3} size="h6" tt="capitalize">
        {thing}
      </Title>
      <Suspense fallback={<div className={classes.chart} />}>
        <Chart
          {...{ thing, curves, onPoint }}
          from={now - seconds}
          to={now}
          label={`${thing} that are not healthy, over time. Now ${current}. ${most}`}
        />
      </Suspense>
      <Legend thing={thing} />
      <Text size="sm" className={classes.said}>
        {shown === undefined ? most : `${exact(parseTime(shown.time) ?? 0)}: ${saidOf(shown, thing)}`}
      </Text>
    </Stack>
  );
}

function Legend({ thing }: { thing: Thing }) {
  return (
    <ul className={classes.legend} aria-label={`Curves of ${thing}`}>
      {wordsOf(thing).map((word) => {
        const { color, dash } = lineOf(word);
        return (
          <li key={word}>
            <svg width="28" height="10" aria-hidden>
              <path
                d="M0 5h28"
                stroke={`light-dark(var(--mantine-color-${color}-${shadeOf(false)}), var(--mantine-color-${color}-${shadeOf(true)}))`}
                strokeWidth="2"
                strokeDasharray={dash.join(' ') || undefined}
              />
            </svg>
            {titles[word]}
          </li>
        );
      })}
    </ul>
  );
}
