import { expect, test } from 'vitest';
import { Places } from './places';

test('who stays keeps its place, who comes takes one that is free', () => {
  const places = new Places();
  expect(places.of(['a', 'b', 'c'])).toEqual([0, 1, 2]);
  expect(places.of(['a', 'b', 'c'])).toEqual([0, 1, 2]);
  expect(places.of(['c', 'x', 'a'])).toEqual([2, 1, 0]);
  expect(places.of(['a', 'c'])).toEqual([0, 2]);
  expect(places.of(['p', 'q', 'c', 'r'])).toEqual([0, 1, 2, 3]);
  expect(places.of([])).toEqual([]);
  expect(places.of(['c'])).toEqual([0]);
});

test('the place of a row that somebody is in is not given to another one', () => {
  const places = new Places();
  places.of(['a', 'b', 'c']);
  places.hold('b');
  expect(places.of(['x', 'y', 'c'])).toEqual([0, 3, 2]);
  expect(places.of(['x', 'y', 'c'])).toEqual([0, 3, 2]);
  places.hold(undefined);
  expect(places.of(['x', 'y', 'c', 'z'])).toEqual([0, 3, 2, 1]);
});

test('no two rows have the same place, whatever comes and goes', () => {
  const places = new Places();
  for (let round = 0; round < 200; round++) {
    const rows = Array.from({ length: 20 }, (_, i) => `row ${i * ((round % 7) + 1) + (round % 11)}`);
    const told = places.of(rows);
    expect(new Set(told).size).toBe(rows.length);
    expect(Math.max(...told)).toBeLessThan(rows.length);
    expect(places.of(rows)).toEqual(told);
  }
});
