import { expect, test } from 'vitest';
import { toCSV, toTSV } from './csv';

test('cells are quoted where they have to be', () => {
  const csv = toCSV(
    ['name', 'why'],
    [
      ['dc1', 'a "word", and\nmore'],
      ['dc2', 3],
    ],
  );
  expect(csv).toBe('name,why\r\ndc1,"a ""word"", and\nmore"\r\ndc2,3\r\n');
});

test.each(['=1+1', '+1', '-1', '@x', '\tx', ' =1+1', '＝1+1'])('%j does nothing in a spreadsheet', (text) => {
  expect(toCSV(['a'], [[text]])).toContain(`'${text}`);
  expect(toTSV(['a'], [[text]])).toContain(`'${text.replace('\t', ' ')}`);
});

test('a list separator of another country makes no cell', () => {
  expect(toCSV(['a'], [['a;=1+1']])).toBe('a\r\n"a;=1+1"\r\n');
  expect(toTSV(['a'], [['\n=1+1']])).toBe("a\n' =1+1");
});

test('numbers are numbers, negative ones as well', () => {
  expect(toCSV(['a'], [[-1]])).toBe('a\r\n-1\r\n');
});

test('no cell of a copied table makes another', () => {
  expect(toTSV(['a', 'b'], [['x\ty', 'z\nw']])).toBe('a\tb\nx y\tz w');
});
