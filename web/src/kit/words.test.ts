import { expect, test } from 'vitest';
import { verdictLook } from './verdict';
import { words } from './words';

test.each(['constructor', '__proto__', 'toString', '__defineGetter__', 'hasOwnProperty'])(
  '%s is no known word',
  (word) => {
    expect(words({ healthy: 1 })[word]).toBeUndefined();
    expect(verdictLook(word)).toBe(verdictLook('unknown'));
  },
);

test('a known word means what it says', () => {
  expect(words({ healthy: 1 }).healthy).toBe(1);
});
