import { expect, test } from 'vitest';
import { retry, retryDelay } from './cache';
import { ApiError } from './error';

function failed(status: number, retryAfter = 0): ApiError {
  return new ApiError('no', status, '', [], '', retryAfter);
}

test.each([
  [0, true],
  [500, true],
  [503, true],
  [429, true],
  [400, false],
  [403, false],
  [404, false],
])('an answer of %d is asked for again: %j', (status, expected) => {
  expect(retry(0, failed(status))).toBe(expected);
  expect(retry(2, failed(status))).toBe(false);
});

test('a mistake of the page is not asked again', () => expect(retry(0, new TypeError('no'))).toBe(false));

test('a busy server says when, within bounds', () => {
  expect(retryDelay(0, failed(503))).toBe(300);
  expect(retryDelay(1, failed(503))).toBe(600);
  expect(retryDelay(0, failed(429, 7))).toBe(7000);
  expect(retryDelay(0, failed(429, 3600))).toBe(30_000);
});
