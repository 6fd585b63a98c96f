import { ActionIcon, Group, Select, Text, TextInput, Tooltip } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconCopy, IconDownload, IconSearch } from '@tabler/icons-react';
import { memo, type ReactNode, useMemo } from 'react';
import { download, toCSV, toTSV } from '../csv';
import classes from '../table.module.css';
import { type Column, valuesOf } from './column';
import type { SetTableState, TableState } from './useTableState';

interface Props<T> {
  label: string;
  rows: readonly T[];
  facets: readonly Column<T>[];
  state: TableState;
  onChange: SetTableState;
  searchable: boolean;
  children: ReactNode;
  /** How many rows are shown. */
  count: number;
  /** What is copied and exported: the header, then all rows that are found. */
  cells: () => (string | number)[][];
}

/** Above a table: its search, its facets, how much is found, copy and export. */
export function Toolbar<T>({ label, rows, facets, state, onChange, searchable, children, count, cells }: Props<T>) {
  return (
    <Group gap="xs" align="flex-end">
      {searchable && (
        <TextInput
          aria-label={`Search ${label}`}
          placeholder="Search"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={state.q ?? ''}
          onChange={(e) => onChange({ q: e.currentTarget.value || null }, true)}
          className={classes.search}
        />
      )}
      {facets.map((c) => (
        <Facet key={c.id} column={c} rows={rows} value={state[c.id] ?? null} onChange={onChange} />
      ))}
      {children}
      <Text size="sm" c="dimmed" ml="auto" role="status" className={`num ${classes.count}`}>
        {count === rows.length ? rows.length : `${count} of ${rows.length}`}
      </Text>
      <Taking label={label} cells={cells} />
    </Group>
  );
}

interface FacetProps<T> {
  column: Column<T>;
  rows: readonly T[];
  value: string | null;
  onChange: SetTableState;
}

function FacetOf<T>({ column, rows, value, onChange }: FacetProps<T>) {
  const values = useMemo(() => valuesOf(rows, column), [rows, column]);
  return (
    <Select
      aria-label={column.header}
      placeholder={column.header}
      data={values}
      value={value}
      onChange={(v) => onChange({ [column.id]: v })}
      clearable
      searchable
      clearButtonProps={{ 'aria-label': `Any ${column.header}` }}
      className={classes.facet}
    />
  );
}

/** Not rendered again for what is typed into the search. */
const Facet = memo(FacetOf) as typeof FacetOf;

/** Copies and exports what is found. */
const Taking = memo(function Taking({ label, cells }: { label: string; cells: () => (string | number)[][] }) {
  const copy = () => {
    const [header = [], ...rows] = cells();
    void navigator.clipboard.writeText(toTSV(header.map(String), rows)).then(
      () => notifications.show({ message: `${rows.length} rows copied` }),
      () => notifications.show({ message: 'The browser does not let this page copy', color: 'red' }),
    );
  };
  const save = () => {
    const [header = [], ...rows] = cells();
    download(`${label.replaceAll(/\W+/g, '-')}.csv`, 'text/csv', toCSV(header.map(String), rows));
  };
  return (
    <>
      <Tooltip label="Copy as a table">
        <ActionIcon variant="default" size="lg" aria-label={`Copy ${label}`} onClick={copy}>
          <IconCopy size={16} />
        </ActionIcon>
      </Tooltip>
      <Tooltip label="Export as CSV">
        <ActionIcon variant="default" size="lg" aria-label={`Export ${label} as CSV`} onClick={save}>
          <IconDownload size={16} />
        </ActionIcon>
      </Tooltip>
    </>
  );
});
