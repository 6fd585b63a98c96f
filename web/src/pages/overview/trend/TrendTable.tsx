import { useMemo } from 'react';
import type { Trend, TrendPoint } from '../../../api/types';
import { type Column, DataTable } from '../../../kit/DataTable';
import { exact, parseTime } from '../../../kit/time';
import { countOf, type Thing, things, titles, type Word, wordsOf } from './curve';

const columns: Column<TrendPoint>[] = [
  {
    id: 'time',
    header: 'Time',
    value: (p) => exact(parseTime(p.time) ?? 0),
    order: (p) => parseTime(p.time) ?? 0,
  },
  ...things.flatMap((thing) => [
    column(thing, 'healthy', 'healthy'),
    ...wordsOf(thing).map((word) => column(thing, word, titles[word])),
  ]),
];

function column(thing: Thing, word: Word | 'healthy', title: string): Column<TrendPoint> {
  return {
    id: `${thing}-${word}`,
    header: `${thing[0]?.toUpperCase() ?? ''}${thing.slice(1)}: ${title}`,
    value: (p) => countOf(p, thing, word),
  };
}

/** What the curves show, in numbers; the newest first. */
export function TrendTable({ trend }: { trend: Trend }) {
  const rows = useMemo(() => trend.points.toReversed(), [trend]);
  return (
    <DataTable
      label="Counts over time"
      rows={rows}
      columns={columns}
      rowKey={(p) => p.time ?? ''}
      prefix="trend-"
      sort="-time"
      searchable={false}
      height="24rem"
      empty={null}
    />
  );
}
