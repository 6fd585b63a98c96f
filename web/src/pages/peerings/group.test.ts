import { expect, test } from 'vitest';
import { pairs } from './group';

test.each([
  ['full-mesh', 4, 0, 6],
  ['full-mesh', 1, 0, 0],
  ['full-mesh', 0, 0, 0],
  ['hub-and-spoke', 5, 1, 4],
  ['hub-and-spoke', 5, 2, 7],
  ['hub-and-spoke', 5, 0, 0],
])('%s of %i with %i hubs makes %i peerings', (shape, members, hubs, want) => {
  expect(pairs(shape, members, hubs)).toBe(want);
});
