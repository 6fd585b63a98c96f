import type { Row } from '@tanstack/react-table';
import { describe, expect, test } from 'vitest';
import { type Column, searchOf, sortingOf, valuesOf } from './column';

interface Place {
  name: string;
  servers: number;
  state: string;
}

const rows: Place[] = [
  { name: 'dc10', servers: 3, state: 'Failing' },
  { name: 'dc9', servers: 11, state: '' },
];
const name: Column<Place> = { id: 'name', header: 'Name', value: (r) => r.name };
const servers: Column<Place> = { id: 'servers', header: 'Servers', value: (r) => r.servers };
const state: Column<Place> = { id: 'state', header: 'State', value: (r) => r.state };

function row(original: Place): Row<Place> {
  return { original } as Row<Place>;
}

describe('sortingOf', () => {
  const sorted = (column: Column<Place>) =>
    rows
      .map(row)
      .sort((a, b) => sortingOf(column)(a, b, column.id))
      .map((r) => r.original.name);
  test('counts in names', () => expect(sorted(name)).toEqual(['dc9', 'dc10']));
  test('counts numbers', () => expect(sorted(servers)).toEqual(['dc10', 'dc9']));
  test('goes by the order of words where they have one', () =>
    expect(sorted({ ...state, order: (r) => (r.state === '' ? 0 : 1) })).toEqual(['dc9', 'dc10']));
});

describe('searchOf', () => {
  const columns = [name, servers, state];
  const found = (query: string) =>
    rows
      .map(row)
      .filter((r) => searchOf(columns)(r, 'name', query, () => undefined))
      .map((r) => r.original.name);
  test('finds a part of any column in any case', () => {
    expect(found('FAIL')).toEqual(['dc10']);
    expect(found('11')).toEqual(['dc9']);
    expect(found('dc')).toEqual(['dc10', 'dc9']);
  });
  test('finds nothing that goes from one column into the next', () => expect(found('dc103')).toEqual([]));
});

test('valuesOf leaves out what is not filled in', () => {
  expect(valuesOf(rows, state)).toEqual(['Failing']);
  expect(valuesOf(rows, name)).toEqual(['dc9', 'dc10']);
});
