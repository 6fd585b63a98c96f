import { describe, expect, it } from 'vitest';
import { parseLabels } from './labels';

describe('parseLabels', () => {
  it.each([
    ['', {}, ''],
    ['region=eu', { region: 'eu' }, ''],
    [' region = eu , env=prod,', { region: 'eu', env: 'prod' }, ''],
    ['empty=', { empty: '' }, ''],
    ['region', {}, 'region'],
    ['a=b=c', {}, 'a=b=c'],
    ['=eu', {}, '=eu'],
  ])('%s', (text, labels, wrong) => {
    expect(parseLabels(text)).toEqual({ labels, wrong });
  });
});
