import {
  type ColumnDef,
  getCoreRowModel,
  getFilteredRowModel,
  getSortedRowModel,
  useReactTable,
} from '@tanstack/react-table';
import { type ReactNode, useMemo } from 'react';
import { Body } from './table/Body';
import { type Column, searchOf, sortingOf } from './table/column';
import { Toolbar } from './table/Toolbar';
import { type TableState, useTableState } from './table/useTableState';

export type { Column } from './table/column';

interface Props<T extends object> {
  /** What the table lists, for screen readers and as the name of the file it exports. */
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  rowKey: (row: T) => string;
  /** What stands there when rows is empty; nothing is found is said by the table itself. */
  empty: ReactNode;
  /** Column to sort by at first; with - before it downwards. */
  sort?: string;
  /** Goes before the names in the address, where a page has several tables. */
  prefix?: string;
  /** Above the table, beside its search. */
  toolbar?: ReactNode;
  /** Short ones need no search. */
  searchable?: boolean;
  /** The largest height (CSS); beyond it the table scrolls. */
  height?: string;
}

/** A table that sorts, filters, copies and exports, of any length; what is chosen stands in the address. */
export function DataTable<T extends object>(props: Props<T>) {
  const { label, rows, columns, empty, sort = '', prefix = '', toolbar, searchable = true, height = '70vh' } = props;
  const facets = useMemo(() => columns.filter((c) => c.facet === true), [columns]);
  const [state, setState] = useTableState(prefix, sort, facets);
  const found = useFound(props, facets, state);

  if (rows.length === 0) return empty;
  const cells = () => [columns.map((c) => c.header), ...found.map((r) => columns.map((c) => c.value(r.original)))];
  return (
    <>
      <Toolbar {...{ label, rows, facets, state, searchable, cells }} onChange={setState} count={found.length}>
        {toolbar}
      </Toolbar>
      <Body {...{ label, columns, found, height }} sortBy={state.sort ?? ''} onSort={(s) => setState({ sort: s })} />
    </>
  );
}

/** The rows that match what was chosen, sorted. */
function useFound<T extends object>(props: Props<T>, facets: readonly Column<T>[], state: TableState) {
  const { rows, columns, rowKey, searchable = true } = props;
  const definitions = useMemo<ColumnDef<T>[]>(
    () => columns.map((c) => ({ id: c.id, accessorFn: c.value, sortingFn: sortingOf(c), filterFn: 'equalsString' })),
    [columns],
  );
  const search = useMemo(() => searchOf(columns), [columns]);
  const sortBy = state.sort ?? '';
  // The table computes its rows again whenever one of these is another object.
  const sorting = useMemo(
    () => (sortBy === '' ? [] : [{ id: sortBy.replace(/^-/, ''), desc: sortBy.startsWith('-') }]),
    [sortBy],
  );
  const columnFilters = useMemo(
    () => facets.flatMap((c) => (state[c.id] ? [{ id: c.id, value: state[c.id] }] : [])),
    [facets, state],
  );
  // eslint-disable-next-line react-hooks/incompatible-library -- its functions are called here only, not handed on.
  const table = useReactTable<T>({
    data: rows as T[],
    columns: definitions,
    getRowId: rowKey,
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
    getFilteredRowModel: getFilteredRowModel(),
    globalFilterFn: search,
    // The search looks at all columns at once.
    getColumnCanGlobalFilter: (column) => column.id === columns[0]?.id,
    // There are no pages; going back to the first one would render the table again for each change of its rows.
    autoResetAll: false,
    state: { globalFilter: searchable ? (state.q ?? '') : '', sorting, columnFilters },
  });
  return table.getRowModel().rows;
}
