import { expect, test } from 'vitest';
import { ApiError, fieldErrors, placeOf } from './error';

test('a violation of a manifest names its document and field', () => {
  expect(placeOf('document 2, line 7: spec.dialer')).toEqual({ document: 2, field: 'spec.dialer' });
  expect(placeOf('fleet.yaml: document 1, line 3: labels[a]')).toEqual({ document: 1, field: 'labels[a]' });
  expect(placeOf('spec.dialer')).toEqual({ document: 1, field: 'spec.dialer' });
});

test('forms find by the field what is wrong with it', () => {
  const error = new ApiError('refused', 400, 'invalid', [
    { field: 'document 1, line 5: spec.dialer', reason: 'NotFound', message: 'there is no Datacenter named "x"' },
    { field: 'document 1, line 5: spec.dialer', reason: 'Invalid', message: 'it is the acceptor too' },
    { field: 'document 2, line 9: name', reason: 'Invalid', message: 'no label' },
  ]);
  expect(fieldErrors(error)).toEqual({ 'spec.dialer': 'there is no Datacenter named "x"; it is the acceptor too' });
  expect(fieldErrors(error, 2)).toEqual({ name: 'no label' });
  expect(fieldErrors(new Error('no'))).toEqual({});
});

test.each([
  ['12', 12],
  [null, 0],
  ['Wed, 21 Oct 2026 07:28:00 GMT', 0],
  ['-1', 0],
])('Retry-After %j is %d s', (header, expected) => {
  const headers = header === null ? undefined : { 'Retry-After': header };
  expect(ApiError.of(new Response('', { status: 429, headers }), {}).retryAfter).toBe(expected);
});
