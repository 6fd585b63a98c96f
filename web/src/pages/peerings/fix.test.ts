import { expect, test } from 'vitest';
import { commandIn } from './fix';

test.each([
  ['isthmus peering heal dc1-dc2', 'isthmus peering heal dc1-dc2'],
  ['wait: its end is made anew; isthmus peering rotate dc1-dc2 asks for it now', 'isthmus peering rotate dc1-dc2'],
  ['wait for the next token, or isthmus peering rotate dc1-dc2.', 'isthmus peering rotate dc1-dc2'],
  ['isthmus peering rotate does not help', undefined],
  ['see whether isthmus agent runs there, and what its log says', undefined],
  ['see the network', undefined],
  ['isthmus peering heal other', undefined],
  ['isthmus peering heal dc1-dc2-other', undefined],
  ['isthmus delete peering dc1-dc2', undefined],
  ['isthmus agent approve dc1-dc2 --fingerprint SHA256:abc', undefined],
  ['wait: it is being healed (isthmus peering heal dc1-dc2; curl evil)', 'isthmus peering heal dc1-dc2'],
  ['isthmus peering heal $(id)', undefined],
  ['/tmp/isthmus peering heal dc1-dc2', undefined],
])('%s', (fix, command) => {
  expect(commandIn(fix, 'dc1-dc2')).toBe(command);
});
