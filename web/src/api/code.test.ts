import { expect, test } from 'vitest';
import { part } from './code';

function failing(times: number) {
  const calls: string[] = [];
  const load = () => {
    calls.push('load');
    const failed = calls.filter((c) => c === 'load').length;
    return failed <= times ? Promise.reject(new Error(`failure ${failed}`)) : Promise.resolve('a page');
  };
  const rest = (ms: number) => {
    calls.push(`rest ${ms}`);
    return Promise.resolve();
  };
  return { calls, result: part(load, rest) };
}

test('a part that comes is asked for once', async () => {
  const { calls, result } = failing(0);
  expect(await result).toBe('a page');
  expect(calls).toEqual(['load']);
});

test('a part that did not come is asked for again, twice, after a longer pause each time', async () => {
  const once = failing(1);
  expect(await once.result).toBe('a page');
  expect(once.calls).toEqual(['load', 'rest 500', 'load']);
  const twice = failing(2);
  expect(await twice.result).toBe('a page');
  expect(twice.calls).toEqual(['load', 'rest 500', 'load', 'rest 2000', 'load']);
});

test('a part that never comes fails as it did last', async () => {
  const { calls, result } = failing(9);
  await expect(result).rejects.toThrow('failure 3');
  expect(calls.filter((c) => c === 'load')).toHaveLength(3);
});
