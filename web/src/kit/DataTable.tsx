import { ActionIcon, Group, Select, Text, TextInput, Tooltip } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconArrowDown, IconArrowUp, IconCopy, IconDownload, IconSearch } from '@tabler/icons-react';
import {
  type ColumnDef,
  getCoreRowModel,
  getFilteredRowModel,
  getSortedRowModel,
  type Row,
  type SortingFn,
  useReactTable,
} from '@tanstack/react-table';
import { useVirtualizer } from '@tanstack/react-virtual';
import { parseAsString, useQueryStates } from 'nuqs';
import { type ReactNode, useMemo, useRef } from 'react';
import { download, toCSV, toTSV } from './csv';
import classes from './table.module.css';

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

interface Props<T> {
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

/** Rows that are not looked at are not there, from this many on. */
const virtualFrom = 100;
const rowHeight = 41;

/** A table that sorts, filters, copies and exports, of any length; what is chosen stands in the address. */
export function DataTable<T>(props: Props<T>) {
  const { label, rows, columns, rowKey, empty, sort = '', prefix = '', toolbar, searchable = true } = props;
  const facets = useMemo(() => columns.filter((c) => c.facet === true), [columns]);
  const [state, setState] = useTableState(prefix, sort, facets);

  const definitions = useMemo<ColumnDef<T>[]>(
    () =>
      columns.map((c) => ({
        id: c.id,
        header: c.header,
        accessorFn: c.value,
        sortingFn: sortingOf(c),
        filterFn: 'equalsString',
      })),
    [columns],
  );
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
    globalFilterFn: 'includesString',
    // There are no pages; going back to the first one would render the table again for each change of its rows.
    autoResetAll: false,
    state: { globalFilter: searchable ? (state.q ?? '') : '', sorting, columnFilters },
  });
  const found = table.getRowModel().rows;

  if (rows.length === 0) return empty;
  const cells = () => found.map((r) => columns.map((c) => c.value(r.original)));
  const header = columns.map((c) => c.header);
  return (
    <>
      <Group gap="xs" align="flex-end">
        {searchable && (
          <TextInput
            aria-label={`Search ${label}`}
            placeholder="Search"
            leftSection={<IconSearch size={16} aria-hidden />}
            value={state.q ?? ''}
            onChange={(e) => void setState({ q: e.currentTarget.value || null })}
            className={classes.search}
          />
        )}
        {facets.map((c) => (
          <Select
            key={c.id}
            aria-label={c.header}
            placeholder={c.header}
            data={valuesOf(rows, c)}
            value={state[c.id] ?? null}
            onChange={(v) => void setState({ [c.id]: v })}
            clearable
            searchable
            clearButtonProps={{ 'aria-label': `Any ${c.header}` }}
            className={classes.facet}
          />
        ))}
        {toolbar}
        <Text size="sm" c="dimmed" ml="auto" role="status" className="num">
          {found.length === rows.length ? rows.length : `${found.length} of ${rows.length}`}
        </Text>
        <Tooltip label="Copy as a table">
          <ActionIcon
            variant="default"
            size="lg"
            aria-label={`Copy ${label}`}
            onClick={() => {
              void navigator.clipboard.writeText(toTSV(header, cells())).then(
                () => notifications.show({ message: `${found.length} rows copied` }),
                () => notifications.show({ message: 'The browser does not let this page copy', color: 'red' }),
              );
            }}
          >
            <IconCopy size={16} />
          </ActionIcon>
        </Tooltip>
        <Tooltip label="Export as CSV">
          <ActionIcon
            variant="default"
            size="lg"
            aria-label={`Export ${label} as CSV`}
            onClick={() => download(`${label.replaceAll(/\W+/g, '-')}.csv`, 'text/csv', toCSV(header, cells()))}
          >
            <IconDownload size={16} />
          </ActionIcon>
        </Tooltip>
      </Group>
      <Body {...props} found={found} sortBy={sortBy} onSort={(s) => void setState({ sort: s })} />
    </>
  );
}

interface BodyProps<T> extends Props<T> {
  found: Row<T>[];
  sortBy: string;
  onSort: (sort: string) => void;
}

function Body<T>({ label, columns, found, sortBy, onSort, height = '70vh' }: BodyProps<T>) {
  const scroll = useRef<HTMLDivElement>(null);
  const virtual = found.length >= virtualFrom;
  // eslint-disable-next-line react-hooks/incompatible-library -- used in this component only.
  const virtualizer = useVirtualizer({
    count: found.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    enabled: virtual,
  });
  const items = virtualizer.getVirtualItems();
  const [first, last] = [items[0], items.at(-1)];
  const shown = virtual ? items.flatMap((i) => found[i.index] ?? []) : found;
  const above = virtual ? (first?.start ?? 0) : 0;
  const below = virtual && last !== undefined ? virtualizer.getTotalSize() - last.end : 0;
  const numeric = new Set(
    columns.filter((c) => found[0] && typeof c.value(found[0].original) === 'number').map((c) => c.id),
  );
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
        <thead>
          <tr>
            {columns.map((c) => (
              <th
                key={c.id}
                scope="col"
                aria-sort={sortOf(c.id, sortBy)}
                className={numeric.has(c.id) ? classes.number : undefined}
              >
                <button
                  type="button"
                  className={classes.sort}
                  onClick={() => onSort(sortBy === c.id ? `-${c.id}` : c.id)}
                >
                  {c.header}
                  {sortBy === c.id && <IconArrowUp size={14} aria-hidden />}
                  {sortBy === `-${c.id}` && <IconArrowDown size={14} aria-hidden />}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <Spacer height={above} columns={columns.length} />
          {shown.map((row, i) => (
            <tr key={row.id} aria-rowindex={virtual ? (items[i]?.index ?? 0) + 2 : i + 2}>
              {columns.map((c) => (
                <td key={c.id} className={numeric.has(c.id) ? classes.number : undefined}>
                  {c.cell === undefined ? c.value(row.original) : c.cell(row.original)}
                </td>
              ))}
            </tr>
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

function Spacer({ height, columns }: { height: number; columns: number }) {
  if (height <= 0) return null;
  return (
    <tr className={classes.spacer} aria-hidden>
      <td colSpan={columns} style={{ height }} />
    </tr>
  );
}

function sortingOf<T>({ order }: Column<T>): SortingFn<T> | 'alphanumeric' {
  return order === undefined ? 'alphanumeric' : (a, b) => order(a.original) - order(b.original);
}

function sortOf(id: string, sortBy: string): 'ascending' | 'descending' | 'none' {
  if (sortBy === id) return 'ascending';
  return sortBy === `-${id}` ? 'descending' : 'none';
}

function valuesOf<T>(rows: readonly T[], column: Column<T>): string[] {
  return [...new Set(rows.map((r) => String(column.value(r))))].filter((v) => v !== '').sort();
}

/** Search, sorting and facets, as they stand in the address. */
function useTableState<T>(prefix: string, sort: string, facets: readonly Column<T>[]) {
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
  return [
    state as Record<string, string | null>,
    setState as (next: Record<string, string | null>) => Promise<unknown>,
  ] as const;
}
