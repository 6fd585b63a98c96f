import { describe, expect, test } from 'vitest';
import { type Column, searchOf, sortedBy, valuesOf } from './column';

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

describe('sortedBy', () => {
  const sorted = (sort: string, columns: Column<Place>[] = [name, servers, state]) =>
    sortedBy(rows, columns, sort).map((r) => r.name);
  test('counts in names', () => expect(sorted('name')).toEqual(['dc9', 'dc10']));
  test('counts numbers', () => expect(sorted('servers')).toEqual(['dc10', 'dc9']));
  test('goes downwards', () => expect(sorted('-servers')).toEqual(['dc9', 'dc10']));
  test('goes by the order of words where they have one', () =>
    expect(sorted('state', [{ ...state, order: (r) => (r.state === '' ? 1 : 0) }])).toEqual(['dc10', 'dc9']));
  test('leaves rows as they are that are equal, and those of a column that there is not', () => {
    expect(sorted('-state', [{ ...state, order: () => 0 }])).toEqual(['dc10', 'dc9']);
    expect(sorted('')).toEqual(['dc10', 'dc9']);
    expect(sorted('-colour')).toEqual(['dc10', 'dc9']);
  });
});

describe('searchOf', () => {
  const search = searchOf([name, servers, state]);
  const found = (text: string) => rows.filter((r) => search(r, text)).map((r) => r.name);
  test('finds a part of any column in any case', () => {
    expect(found('FAIL')).toEqual(['dc10']);
    expect(found('11')).toEqual(['dc9']);
    expect(found('dc')).toEqual(['dc10', 'dc9']);
    expect(found('')).toEqual(['dc10', 'dc9']);
  });
  test('finds nothing that goes from one column into the next', () => expect(found('dc103')).toEqual([]));
});

test('valuesOf leaves out what is not filled in', () => {
  expect(valuesOf(rows, state)).toEqual(['Failing']);
  expect(valuesOf(rows, name)).toEqual(['dc9', 'dc10']);
});
