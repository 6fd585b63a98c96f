import { type ColumnDef, getCoreRowModel, getFilteredRowModel, useReactTable } from '@tanstack/react-table';
import { type ReactNode, useCallback, useLayoutEffect, useMemo, useRef } from 'react';
import { Body } from './table/Body';
import { type Column, searchOf, sortedBy } from './table/column';
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
  /** Rows that come take the elements of rows that went, which costs less; not where a cell has a state of its own, such as a question it asks. */
  recycled?: boolean;
}

/** A table that sorts, filters, copies and exports, of any length; what is chosen stands in the address. */
export function DataTable<T extends object>(props: Props<T>) {
  const {
    label,
    rows,
    columns,
    rowKey,
    empty,
    sort = '',
    prefix = '',
    toolbar,
    searchable = true,
    recycled = false,
  } = props;
  const facets = useMemo(() => columns.filter((c) => c.facet === true), [columns]);
  const [state, setState] = useTableState(prefix, sort, facets);
  const found = useFound(props, facets, state);

  const cells = useCells(columns, found);

  if (rows.length === 0) return empty;
  return (
    <>
      <Toolbar {...{ label, rows, facets, state, searchable, cells }} onChange={setState} count={found.length}>
        {toolbar}
      </Toolbar>
      <Body
        {...{ label, columns, found, rowKey, recycled }}
        height={props.height ?? '70vh'}
        sortBy={state.sort ?? ''}
        onSort={(s) => setState({ sort: s })}
      />
    </>
  );
}

/** What is copied and exported, of the rows that are found when it is asked: the same function while what is found changes. */
function useCells<T>(columns: readonly Column<T>[], found: readonly T[]) {
  const latest = useRef(found);
  useLayoutEffect(() => {
    latest.current = found;
  }, [found]);
  return useCallback(
    () => [columns.map((c) => c.header), ...latest.current.map((r) => columns.map((c) => c.value(r)))],
    [columns],
  );
}

/** The rows that match what was chosen, sorted. They are sorted first: of what somebody types, only the search goes over them again. */
function useFound<T extends object>(props: Props<T>, facets: readonly Column<T>[], state: TableState) {
  const { rows, columns, rowKey, searchable = true } = props;
  const sort = state.sort ?? '';
  const sorted = useMemo(() => sortedBy(rows, columns, sort), [rows, columns, sort]);
  const search = useMemo(() => searchOf(columns), [columns]);
  const definitions = useMemo<ColumnDef<T>[]>(
    () =>
      columns.map((c) => ({
        id: c.id,
        accessorFn: c.value,
        filterFn: (row, id, value) => String(row.getValue(id)) === value,
      })),
    [columns],
  );
  // The table computes its rows again whenever this is another object.
  const columnFilters = useMemo(
    () => facets.flatMap((c) => (state[c.id] ? [{ id: c.id, value: state[c.id] }] : [])),
    [facets, state],
  );
  // eslint-disable-next-line react-hooks/incompatible-library -- its functions are called here only, not handed on.
  const table = useReactTable<T>({
    data: sorted as T[],
    columns: definitions,
    getRowId: rowKey,
    getCoreRowModel: getCoreRowModel(),
    getFilteredRowModel: getFilteredRowModel(),
    globalFilterFn: (row, _column, text: string) => search(row.original, text),
    // The search looks at all columns at once.
    getColumnCanGlobalFilter: (column) => column.id === columns[0]?.id,
    manualSorting: true,
    // There are no pages; going back to the first one would render the table again for each change of its rows.
    autoResetAll: false,
    state: { globalFilter: searchable ? (state.q ?? '') : '', columnFilters },
  });
  const found = table.getRowModel().rows;
  return useMemo(() => found.map((r) => r.original), [found]);
}
