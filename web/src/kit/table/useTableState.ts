import { debounce, parseAsString, useQueryStates } from 'nuqs';
import { useMemo } from 'react';
import type { Column } from './column';

/** How long somebody pauses before what they typed is written into the address (ms): the whole page looks at its address. */
const pause = 300;

/** Search (q), sorting (sort) and facets (by their columns' ids), as they stand in the address; null: not chosen. */
export type TableState = Readonly<Record<string, string | null>>;

/** A change of it; typing says that it is one of several that come together. */
export type SetTableState = (next: TableState, typing?: boolean) => void;

/** What somebody chose for a table. The names have a prefix where a page has several tables. */
export function useTableState<T>(prefix: string, sort: string, facets: readonly Column<T>[]) {
  const parsers = useMemo(
    () => ({
      q: parseAsString,
      sort: sort === '' ? parseAsString : parseAsString.withDefault(sort),
      ...Object.fromEntries(facets.map((c) => [c.id, parseAsString])),
    }),
    [sort, facets],
  );
  const urlKeys = useMemo(
    () => Object.fromEntries(Object.keys(parsers).map((key) => [key, `${prefix}${key}`])),
    [parsers, prefix],
  );
  const [state, setState] = useQueryStates(parsers, { urlKeys });
  const set = useMemo<SetTableState>(
    () =>
      (next, typing = false) =>
        void setState(next, typing ? { limitUrlUpdates: debounce(pause) } : {}),
    [setState],
  );
  return [state as TableState, set] as const;
}
