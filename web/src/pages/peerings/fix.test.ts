import { expect, test } from 'vitest';
import { commandIn } from './fix';

test.each([
  ['isthmus peering heal dc1-dc2', 'isthmus peering heal dc1-dc2'],
  ['wait: its end is made anew; isthmus peering rotate dc1-dc2 asks for it now', 'isthmus peering rotate dc1-dc2'],
  ['wait for the next token, or isthmus peering rotate dc1-dc2', 'isthmus peering rotate dc1-dc2'],
  ['see whether isthmus agent runs there, and what its log says', undefined],
  ['see the network', undefined],
])('%s', (fix, command) => {
  expect(commandIn(fix)).toBe(command);
});
