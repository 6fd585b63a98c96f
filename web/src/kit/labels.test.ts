import { describe, expect, it } from 'vitest';
import { labelsText, labelTexts, parseLabels } from './labels';

describe('parseLabels', () => {
  it.each<[string[], Record<string, string>]>([
    [[], {}],
    [['', ' '], {}],
    [['region=eu'], { region: 'eu' }],
    [[' region = eu ', 'env=prod'], { region: 'eu', env: 'prod' }],
    [['empty='], { empty: '' }],
    [['alone'], { alone: '' }],
    [['url=a=b'], { url: 'a=b' }],
    [['=eu'], { '': 'eu' }],
  ])('%j', (texts, labels) => {
    expect(parseLabels(texts)).toEqual(labels);
  });
});

it('writes labels as they are read', () => {
  expect(labelTexts({ region: 'eu', env: 'prod' })).toEqual(['env=prod', 'region=eu']);
  expect(labelsText({ region: 'eu', env: 'prod' })).toBe('env=prod,region=eu');
  expect(parseLabels(labelTexts({ region: 'eu', empty: '' }))).toEqual({ region: 'eu', empty: '' });
  expect(labelsText({})).toBe('');
});
