import { describe, expect, it } from 'vitest';
import { labelsText, parseLabels } from './labels';

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

it('writes labels as they are read', () => {
  expect(labelsText({ region: 'eu', env: 'prod' })).toBe('env=prod,region=eu');
  expect(parseLabels(labelsText({ region: 'eu', empty: '' })).labels).toEqual({ region: 'eu', empty: '' });
  expect(labelsText({})).toBe('');
});
