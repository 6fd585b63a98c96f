// What a table's columns are, and what is found, sorted and offered by them. Pure.

import type { ReactNode } from 'react';

export interface Column<T> {
  /** Unique in the table; stands in the address. */
  id: string;
  header: string;
  /** What sorts, filters, and is copied. */
  value: (row: T) => string | number;
  /** What sorts instead of value, where words have an order of their own: verdicts by how much they need somebody. */
  order?: (row: T) => number;
  /** What is shown; value when it is left out. */
  cell?: (row: T) => ReactNode;
  /** Offers its values in a drop-down. */
  facet?: boolean;
}

/** Names with numbers in them as people count: dc9 before dc10. One collator: making one is what costs. */
const collator = new Intl.Collator(undefined, { numeric: true });

/** The rows by a column, downwards with - before its id; as they are, when no column has it. */
export function sortedBy<T>(rows: readonly T[], columns: readonly Column<T>[], sort: string): readonly T[] {
  const down = sort.startsWith('-');
  const column = columns.find((c) => c.id === (down ? sort.slice(1) : sort));
  if (column === undefined) return rows;
  const { order, value } = column;
  const sign = down ? -1 : 1;
  const by = order ?? value;
  // What rows are sorted by is found once for each, and not at each comparison.
  return rows
    .map((row) => ({ row, key: by(row) }))
    .sort((a, b) => sign * compare(a.key, b.key))
    .map(({ row }) => row);
}

function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return collator.compare(String(a), String(b));
}

/** Tells whether a part of what any column says of a row is a text, without regard to case. What a row says is put together once. */
export function searchOf<T extends object>(columns: readonly Column<T>[]): (row: T, text: string) => boolean {
  const said = new WeakMap<T, string>();
  const textOf = (row: T) => {
    let text = said.get(row);
    if (text === undefined) {
      text = columns
        .map((c) => c.value(row))
        .join('\n')
        .toLowerCase();
      said.set(row, text);
    }
    return text;
  };
  return (row, text) => text === '' || textOf(row).includes(text.toLowerCase());
}

/** The values of a column that are not empty, sorted: what a drop-down offers. */
export function valuesOf<T>(rows: readonly T[], column: Column<T>): string[] {
  return [...new Set(rows.map((r) => String(column.value(r))))].filter((v) => v !== '').sort(collator.compare);
}
