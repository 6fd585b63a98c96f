// The one file that needs uPlot: it is loaded when a curve is shown.

import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { lineOf, shadeOf } from './look';
import { wordsOf, type Thing } from './curve';
import classes from './trend.module.css';

interface Props {
  thing: Thing;
  /** Times (s), then the count of each word; null where nobody counted. */
  curves: [number[], ...(number | null)[][]];
  /** The first and the last time that is shown (s). */
  from: number;
  to: number;
  /** All that the curves say, in words. */
  label: string;
  /** The time (s) that is pointed at; undefined: none. */
  onPoint: (seconds: number | undefined) => void;
}

const height = 140;

/** Counts over time, as steps: what was counted is so until it is counted again. */
export default function Chart({ thing, curves, from, to, label, onPoint }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const scheme = useComputedColorScheme('light', { getInitialValueInEffect: false });

  useEffect(() => {
    const element = frame.current;
    if (element === null) return undefined;
    const made = new uPlot(optionsOf(thing, element, scheme === 'dark', onPoint), [[]], element);
    plot.current = made;
    const fit = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height });
    });
    fit.observe(element);
    return () => {
      fit.disconnect();
      made.destroy();
      plot.current = undefined;
    };
    // Colours are read when it is made: it is made anew for another scheme.
  }, [thing, scheme, onPoint]);

  useEffect(() => {
    plot.current?.batch(() => {
      plot.current?.setData(curves, false);
      plot.current?.setScale('x', { min: from, max: to });
    });
  }, [curves, from, to, scheme, thing, onPoint]);

  return <div ref={frame} className={classes.chart} role="img" aria-label={label} />;
}

function optionsOf(thing: Thing, element: HTMLElement, dark: boolean, onPoint: Props['onPoint']): uPlot.Options {
  const style = getComputedStyle(element);
  const text = style.getPropertyValue('--mantine-color-dimmed');
  const grid = { stroke: style.getPropertyValue('--mantine-color-default-border'), width: 1 };
  const axis = { stroke: text, grid, ticks: grid, font: `12px ${style.fontFamily}` };
  const stepped = uPlot.paths.stepped?.({ align: 1 });
  return {
    width: Math.max(element.clientWidth, 1),
    height,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
    scales: { y: { range: (_, __, max) => [0, Math.max(1, max)] } },
    axes: [
      { ...axis, space: 70, values: (_, times) => times.map(clock) },
      { ...axis, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000] },
    ],
    series: [
      {},
      ...wordsOf(thing).map((word) => {
        const { color, dash } = lineOf(word);
        return {
          label: word,
          stroke: style.getPropertyValue(`--mantine-color-${color}-${shadeOf(dark)}`),
          width: 2,
          dash: [...dash],
          paths: stepped,
          points: { show: false },
        };
      }),
    ],
    hooks: {
      setCursor: [
        (u) => {
          const { left } = u.cursor;
          onPoint(left === undefined || left < 0 ? undefined : u.posToVal(left, 'x'));
        },
      ],
    },
  };
}

/** The time of the day, in the reader's zone. */
function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
}
