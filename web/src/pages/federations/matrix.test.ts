import { describe, expect, it } from 'vitest';
import type { ReachedGateway } from '../../api/types';
import { matrixOf } from './matrix';

function reached(from: string, to: string, answer: string, latencyMs = 0): ReachedGateway {
  return { from, to, address: `${to}:443`, reached: answer, latencyMs, reason: '', message: '', since: undefined };
}

describe('matrixOf', () => {
  it('puts every pair into its place', () => {
    const { names, cells } = matrixOf([reached('dc2', 'dc1', 'yes', 5), reached('dc1', 'dc2', 'no')]);
    expect(names).toEqual(['dc1', 'dc2']);
    expect(cells.map((c) => c?.reached)).toEqual([undefined, 'no', 'yes', undefined]);
    expect(cells[2]?.latency).toBe(5);
  });

  it.each([
    [['yes', 'yes'], 'yes'],
    [['yes', 'no'], 'some'],
    [['yes', 'unknown'], 'some'],
    [['no', 'unknown'], 'no'],
    [['unknown'], 'unknown'],
  ])('%s of several gateways is %s', (answers, whole) => {
    const { cells } = matrixOf(answers.map((a) => reached('a', 'b', a)));
    expect(cells[1]?.reached).toBe(whole);
  });

  it('takes the smallest latency of what is reached', () => {
    const { cells } = matrixOf([reached('a', 'b', 'yes', 9), reached('a', 'b', 'yes', 3), reached('a', 'b', 'no', 1)]);
    expect(cells[1]?.latency).toBe(3);
  });
});
