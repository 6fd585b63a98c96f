import { Text, useComputedColorScheme } from '@mantine/core';
import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from 'react';
import { type Cell, type Matrix } from './matrix';
import { cellAt, draw, type Geometry, geometryOf } from './paint';
import classes from './heatmap.module.css';

/**
 * The square of who reaches whom, painted, so that 100 by 100 stays fluent. Arrow keys go from cell to cell; what stands below says each in
 * words, as the table does.
 */
export function HeatMap({ matrix }: { matrix: Matrix }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = useComputedColorScheme('light') === 'dark';
  const [at, setAt] = useState<[row: number, column: number]>();
  const geometry = geometryOf(matrix.names);

  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (context) draw(context, matrix, geometryOf(matrix.names), dark);
  }, [matrix, dark]);

  const cell = at === undefined ? undefined : matrix.cells[at[0] * matrix.names.length + at[1]];
  const point = (event: PointerEvent<HTMLCanvasElement>) => {
    const next = pointed(event, geometry, matrix.names.length);
    // The same cell is no news: nothing is rendered again.
    setAt((old) => (next !== undefined && old?.[0] === next[0] && old[1] === next[1] ? old : next));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const last = matrix.names.length - 1;
    const [row, column] = at ?? [0, 0];
    setAt([clamp(row + step[0], last), clamp(column + step[1], last)]);
  };
  return (
    <div className={classes.frame}>
      {/* An application: its keys are its own. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        role="application"
        aria-label="Who reaches whom: arrow keys go from cell to cell"
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        className={classes.scroll}
        onKeyDown={onKeyDown}
      >
        <canvas
          ref={canvas}
          width={geometry.width * 2}
          height={geometry.height * 2}
          style={{ width: geometry.width, height: geometry.height }}
          onPointerMove={point}
          onPointerDown={point}
        />
        {at !== undefined && (
          <div
            className={classes.at}
            style={{
              left: geometry.left + at[1] * geometry.size - 2,
              top: geometry.top + at[0] * geometry.size - 2,
              width: geometry.size + 3,
              height: geometry.size + 3,
            }}
          />
        )}
      </div>
      <Text size="sm" role="status" className={classes.said}>
        {at === undefined ? 'Point at a cell, or go there with the arrow keys.' : inWords(cell, matrix.names, at)}
      </Text>
    </div>
  );
}

const steps: Record<string, [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

function clamp(n: number, last: number): number {
  return Math.max(0, Math.min(last, n));
}

function pointed(event: PointerEvent<HTMLCanvasElement>, geometry: Geometry, n: number): [number, number] | undefined {
  const box = event.currentTarget.getBoundingClientRect();
  return cellAt(geometry, event.clientX - box.left, event.clientY - box.top, n);
}

const words: Record<Cell['reached'], string> = {
  yes: 'reached',
  some: 'reached in part',
  no: 'not reached',
  unknown: 'not known',
};

function inWords(cell: Cell | undefined, names: readonly string[], [row, column]: readonly [number, number]): string {
  const way = `${names[row] ?? ''} → ${names[column] ?? ''}`;
  if (cell === undefined) return `${way}: nobody tries`;
  const gateways = cell.gateways.map((g) => {
    const why = [g.reason, g.message].filter((t) => t !== '').join(': ');
    return g.reached === 'yes' ? `${g.address} in ${g.latencyMs} ms` : `${g.address} ${why || words.unknown}`;
  });
  return `${way}: ${words[cell.reached]}. ${gateways.join('; ')}`;
}
