import type { Cell, Matrix } from './matrix';

/** Where things are on the canvas, in CSS pixels. */
export interface Geometry {
  size: number;
  left: number;
  top: number;
  width: number;
  height: number;
  labels: boolean;
}

const font = '11px system-ui, sans-serif';
/** Longer names are cut: the whole one is said in words. */
const longest = 18;

/** Cells as large as a square of so many needs; names stand beside them while they can be read. */
export function geometryOf(names: readonly string[]): Geometry {
  const n = names.length;
  const size = n <= 12 ? 34 : n <= 30 ? 20 : n <= 60 ? 14 : 10;
  const labels = size >= 10;
  const letters = Math.min(longest, Math.max(1, ...names.map((name) => name.length)));
  const margin = labels ? letters * 7 + 8 : 4;
  return { size, left: margin, top: margin, width: margin + n * size + 2, height: margin + n * size + 2, labels };
}

/** Which cell is at a point; undefined: none. */
export function cellAt(g: Geometry, x: number, y: number, n: number): [row: number, column: number] | undefined {
  const column = Math.floor((x - g.left) / g.size);
  const row = Math.floor((y - g.top) / g.size);
  return row >= 0 && row < n && column >= 0 && column < n ? [row, column] : undefined;
}

const colors = {
  light: {
    yes: [216, 243, 220],
    slow: [45, 106, 79],
    onSlow: '#ffffff',
    no: '#c92a2a',
    some: '#f08c00',
    unknown: '#adb5bd',
    none: '#f1f3f5',
    text: '#212529',
    mark: '#ffffff',
  },
  dark: {
    yes: [30, 70, 50],
    slow: [130, 220, 160],
    onSlow: '#1a1b1e',
    no: '#e03131',
    some: '#e8890c',
    unknown: '#5c5f66',
    none: '#2c2e33',
    text: '#e9ecef',
    mark: '#ffffff',
  },
} as const;

/** From here on a latency has the strongest colour (ms). */
export const slowest = 250;

/** Paints the square. */
export function draw(c: CanvasRenderingContext2D, matrix: Matrix, g: Geometry, dark: boolean): void {
  const paint = dark ? colors.dark : colors.light;
  const n = matrix.names.length;
  c.setTransform(2, 0, 0, 2, 0, 0);
  c.clearRect(0, 0, g.width, g.height);
  for (let i = 0; i < matrix.cells.length; i++) {
    const x = g.left + (i % n) * g.size;
    const y = g.top + Math.floor(i / n) * g.size;
    square(c, matrix.cells[i], x, y, g.size - 1, paint);
  }
  names(c, matrix.names, g, paint.text);
}

type Paint = (typeof colors)['light'] | (typeof colors)['dark'];

function square(
  c: CanvasRenderingContext2D,
  cell: Cell | undefined,
  x: number,
  y: number,
  size: number,
  paint: Paint,
): void {
  if (cell === undefined) {
    c.fillStyle = paint.none;
    c.fillRect(x, y, size, size);
    return;
  }
  c.fillStyle =
    cell.reached === 'yes' ? shade(paint.yes, paint.slow, (cell.latency ?? 0) / slowest) : paint[cell.reached];
  c.fillRect(x, y, size, size);
  if (cell.reached === 'yes') {
    if (size >= readable) milliseconds(c, cell.latency ?? 0, x, y, size, paint);
    return;
  }
  c.strokeStyle = paint.mark;
  c.fillStyle = paint.mark;
  c.lineWidth = 1.5;
  const [a, b] = [size * 0.28, size * 0.72];
  c.beginPath();
  if (cell.reached === 'no') {
    c.moveTo(x + a, y + a);
    c.lineTo(x + b, y + b);
    c.moveTo(x + b, y + a);
    c.lineTo(x + a, y + b);
  } else if (cell.reached === 'some') {
    c.moveTo(x + a, y + b);
    c.lineTo(x + b, y + a);
  } else {
    c.font = `${Math.round(size * 0.75)}px system-ui, sans-serif`;
    c.textAlign = 'center';
    c.textBaseline = 'middle';
    c.fillText('?', x + size / 2, y + size / 2 + 0.5);
  }
  c.stroke();
}

/** Cells of this size have room for their number. */
const readable = 30;

function milliseconds(c: CanvasRenderingContext2D, ms: number, x: number, y: number, size: number, paint: Paint): void {
  c.fillStyle = ms > slowest / 2 ? paint.onSlow : paint.text;
  c.font = font;
  c.textAlign = 'center';
  c.textBaseline = 'middle';
  c.fillText(String(ms), x + size / 2, y + size / 2 + 0.5);
}

function shade(from: readonly number[], to: readonly number[], part: number): string {
  const p = Math.max(0, Math.min(1, part));
  const mix = from.map((v, i) => Math.round(v + ((to[i] ?? v) - v) * p));
  return `rgb(${mix.join(' ')})`;
}

function names(c: CanvasRenderingContext2D, all: readonly string[], g: Geometry, color: string): void {
  if (!g.labels) return;
  c.font = g.size < 12 ? '9px system-ui, sans-serif' : font;
  c.fillStyle = color;
  c.textBaseline = 'middle';
  all.forEach((name, i) => {
    const text = name.length > longest ? `${name.slice(0, longest - 1)}…` : name;
    const middle = i * g.size + g.size / 2;
    c.textAlign = 'right';
    c.fillText(text, g.left - 5, g.top + middle);
    c.save();
    c.translate(g.left + middle, g.top - 5);
    c.rotate(-Math.PI / 2);
    c.textAlign = 'left';
    c.fillText(text, 0, 0);
    c.restore();
  });
}
