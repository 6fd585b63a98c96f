import { expect, test } from 'vitest';
import { answerLook, verdictLook } from './verdict';

test('what is worse weighs more', () => {
  const order = ['healthy', 'pending', 'unknown', 'stale', 'one-sided', 'failing'];
  const weights = order.map((v) => verdictLook(v).weight);
  expect(weights).toEqual([...weights].sort((a, b) => a - b));
  expect(new Set(weights).size).toBe(order.length);
});

test('a word that is not known yet never looks healthy', () => {
  expect(verdictLook('brand-new')).toBe(verdictLook('unknown'));
  expect(verdictLook('')).toBe(verdictLook('unknown'));
  expect(answerLook('brand-new')).toBe(answerLook('unknown'));
});

test('a warning is no failure', () => {
  expect(answerLook('warning').weight).toBeLessThan(answerLook('fail').weight);
});
