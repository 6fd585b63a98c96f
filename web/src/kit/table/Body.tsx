import { Text } from '@mantine/core';
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react';
import { useVirtualizer } from '@tanstack/react-virtual';
import { memo, useMemo, useRef, useState } from 'react';
import classes from '../table.module.css';
import type { Column } from './column';
import { Places } from './places';

interface Props<T> {
  label: string;
  columns: readonly Column<T>[];
  found: readonly T[];
  rowKey: (row: T) => string;
  recycled: boolean;
  sortBy: string;
  onSort: (sort: string) => void;
  /** The largest height (CSS); beyond it the table scrolls. */
  height: string;
}

/** Rows that are not looked at are not there, from this many on: about as many as are there then. */
const virtualFrom = 50;
const rowHeight = 41;

/** The table itself, with those of its rows that can be seen. */
export function Body<T>({ label, columns, found, rowKey, recycled, sortBy, onSort, height }: Props<T>) {
  const scroll = useRef<HTMLDivElement>(null);
  const virtual = found.length >= virtualFrom;
  // eslint-disable-next-line react-hooks/incompatible-library -- used in this component only.
  const virtualizer = useVirtualizer({
    count: found.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => rowHeight,
    overscan: 6,
    enabled: virtual,
  });
  const items = virtualizer.getVirtualItems();
  const [first, last] = [items[0], items.at(-1)];
  const from = virtual ? (first?.index ?? 0) : 0;
  const shown = virtual ? found.slice(from, (last?.index ?? -1) + 1) : found;
  const above = virtual ? (first?.start ?? 0) : 0;
  const below = virtual && last !== undefined ? virtualizer.getTotalSize() - last.end : 0;
  const sample = found[0];
  const numeric = useMemo(
    () => new Set(columns.filter((c) => sample !== undefined && typeof c.value(sample) === 'number').map((c) => c.id)),
    [columns, sample],
  );
  const alike = useAlike(numeric);
  const [places] = useState(() => new Places());
  const names = shown.map(rowKey);
  const keys = recycled ? places.of(names) : names;
  return (
    <div
      ref={scroll}
      className={classes.scroll}
      style={{ maxHeight: height }}
      // Focusable, so that the keyboard scrolls it.
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
      tabIndex={0}
      role="region"
      aria-label={label}
    >
      <table className={classes.table} aria-rowcount={found.length + 1}>
        <Head columns={columns} numeric={alike} sortBy={sortBy} onSort={onSort} />
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- it only listens where the focus is. */}
        <tbody
          onFocus={(e) => {
            const index = Number(e.target.closest('tr')?.getAttribute('aria-rowindex'));
            const row = found[index - 2];
            places.hold(row === undefined ? undefined : rowKey(row));
          }}
          onBlur={() => places.hold(undefined)}
        >
          <Spacer height={above} columns={columns.length} />
          {shown.map((row, i) => (
            <Line key={keys[i]} row={row} index={from + i + 2} columns={columns} numeric={alike} />
          ))}
          <Spacer height={below} columns={columns.length} />
        </tbody>
      </table>
      {found.length === 0 && (
        <Text size="sm" c="dimmed" ta="center" py="lg">
          Nothing matches. Take out a filter above.
        </Text>
      )}
    </div>
  );
}

/** The same text for equal sets: what goes by it is not rendered again for another set of the same. */
function useAlike(set: ReadonlySet<string>): string {
  return useMemo(() => [...set].join('\n'), [set]);
}

interface HeadProps<T> {
  columns: readonly Column<T>[];
  /** The ids of columns of numbers, one on a line. */
  numeric: string;
  sortBy: string;
  onSort: (sort: string) => void;
}

function Head<T>({ columns, numeric, sortBy, onSort }: HeadProps<T>) {
  return (
    <thead>
      <tr>
        {columns.map((c) => (
          <th key={c.id} scope="col" aria-sort={sortOf(c.id, sortBy)} className={classOf(c.id, numeric)}>
            <button type="button" className={classes.sort} onClick={() => onSort(sortBy === c.id ? `-${c.id}` : c.id)}>
              {c.header}
              {sortBy === c.id && <IconArrowUp size={14} aria-hidden />}
              {sortBy === `-${c.id}` && <IconArrowDown size={14} aria-hidden />}
            </button>
          </th>
        ))}
      </tr>
    </thead>
  );
}

interface LineProps<T> {
  row: T;
  /** Its place among all rows, for screen readers. */
  index: number;
  columns: readonly Column<T>[];
  numeric: string;
}

function LineOf<T>({ row, index, columns, numeric }: LineProps<T>) {
  return (
    <tr aria-rowindex={index}>
      {columns.map((c) => (
        <td key={c.id} className={classOf(c.id, numeric)}>
          {c.cell === undefined ? c.value(row) : c.cell(row)}
        </td>
      ))}
    </tr>
  );
}

/** A row that stays is not rendered again when others come and go. */
const Line = memo(LineOf) as typeof LineOf;

function classOf(id: string, numeric: string): string | undefined {
  return numeric.split('\n').includes(id) ? classes.number : undefined;
}

function Spacer({ height, columns }: { height: number; columns: number }) {
  if (height <= 0) return null;
  return (
    <tr className={classes.spacer} aria-hidden>
      <td colSpan={columns} style={{ height }} />
    </tr>
  );
}

function sortOf(id: string, sortBy: string): 'ascending' | 'descending' | 'none' {
  if (sortBy === id) return 'ascending';
  return sortBy === `-${id}` ? 'descending' : 'none';
}
