// What a table's columns are, and what is found, sorted and offered by them. Pure.

import type { FilterFn, Row, SortingFn } from '@tanstack/react-table';
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

/** Sorts rows by a column. */
export function sortingOf<T>({ order, value }: Column<T>): SortingFn<T> {
  if (order !== undefined) return (a, b) => order(a.original) - order(b.original);
  return (a, b) => compare(value(a.original), value(b.original));
}

function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return collator.compare(String(a), String(b));
}

/** Finds rows by a part of what any column says, without regard to case. What a row says is put together once. */
export function searchOf<T extends object>(columns: readonly Column<T>[]): FilterFn<T> {
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
  return (row: Row<T>, _column: string, query: string) => textOf(row.original).includes(query.toLowerCase());
}

/** The values of a column that are not empty, sorted: what a drop-down offers. */
export function valuesOf<T>(rows: readonly T[], column: Column<T>): string[] {
  return [...new Set(rows.map((r) => String(column.value(r))))].filter((v) => v !== '').sort(collator.compare);
}
