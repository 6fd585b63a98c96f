import { useComputedColorScheme } from '@mantine/core';
import { type RefObject, useCallback, useEffect, useRef, useState } from 'react';
import { type Camera, centre, fit, panBy, type Size, toMap, zoomAt } from './camera';
import { MapCanvas } from './canvas';
import { coloursOf } from './draw';
import type { Box, Point } from './layout';
import type { MapLink, MapNode } from './map';
import { hit, type Scene } from './scene';

/** How far (CSS pixels) a pointer may be off a line, and still mean it. */
const reach = 7;

/** Half of a name below a node (CSS pixels). */
const names = 60;

export interface FleetView {
  zoom: (factor: number) => void;
  pan: (x: number, y: number) => void;
  /** Looks at everything. */
  fitAll: () => void;
  /** Looks at one point, near enough to read names. */
  lookAt: (point: Point) => void;
  /** Moves points out from under what covers the right. */
  reveal: (points: readonly Point[]) => void;
  /** What is at a point of the screen, relative to the canvas. */
  find: (at: Point) => MapNode | MapLink | undefined;
  zoomOn: (factor: number, at: Point) => void;
}

interface Shown {
  scene: Scene;
  box: Box;
  /** Another one is another picture, which is looked at as a whole; within the same one, the camera stays where it is. */
  picture: string;
  chosen: MapNode | MapLink | undefined;
  pointed: MapNode | MapLink | undefined;
  /** How much of the right (CSS pixels) is under something else. */
  covered: number;
}

/** Draws a scene on a canvas that fills its parent, and moves the camera. What changes in the scene moves nothing. */
export function useFleetCanvas(ref: RefObject<HTMLCanvasElement | null>, shown: Shown): FleetView {
  const { scene, box, picture, chosen, pointed, covered } = shown;
  const map = useRef<MapCanvas>(undefined);
  const camera = useRef<Camera>({ x: 0, y: 0, zoom: 1 });
  const size = useRef<Size>({ width: 0, height: 0 });
  const latest = useRef({ scene, box, covered });
  // Somebody moved the camera: it is theirs until all is asked for again.
  const taken = useRef(false);
  const [ready, setReady] = useState(0);
  const scheme = useComputedColorScheme('light');

  useEffect(() => {
    latest.current = { scene, box, covered };
  }, [scene, box, covered]);

  const move = useCallback((next: Camera) => {
    taken.current = true;
    camera.current = next;
    map.current?.look(next);
  }, []);
  const fitAll = useCallback(() => {
    const { width, height } = size.current;
    move(fit(latest.current.box, { width: width - latest.current.covered, height }));
    taken.current = false;
  }, [move]);

  useEffect(() => {
    const canvas = ref.current;
    const parent = canvas?.parentElement;
    if (canvas === null || parent === null || parent === undefined) return undefined;
    const drawn = new MapCanvas(canvas);
    map.current = drawn;
    const observer = new ResizeObserver(() => {
      const next = { width: parent.clientWidth, height: parent.clientHeight };
      // Folded away, there is nothing to look at.
      if (next.width === 0 || next.height === 0) return;
      const before = size.current;
      size.current = next;
      if (before.width === 0) setReady((n) => n + 1);
      // What was in the middle stays there.
      if (taken.current)
        move(panBy(camera.current, (next.width - before.width) / 2, (next.height - before.height) / 2));
      else fitAll();
      drawn.resize(next);
    });
    observer.observe(parent);
    return () => {
      observer.disconnect();
      drawn.destroy();
      map.current = undefined;
      size.current = { width: 0, height: 0 };
    };
  }, [ref, move, fitAll]);

  useEffect(() => {
    if (ready > 0) fitAll();
  }, [ready, picture, fitAll]);

  useEffect(() => {
    if (ref.current !== null) map.current?.show(scene, coloursOf(ref.current, scheme === 'dark'));
  }, [ref, scene, scheme, ready]);

  useEffect(() => {
    map.current?.focus(chosen, pointed);
  }, [chosen, pointed, ready]);

  return { fitAll, ...useMoves(camera, size, latest, move) };
}

type Latest = Pick<Shown, 'scene' | 'box' | 'covered'>;

/** Ways to move the camera, and to find what is below a point. */
function useMoves(
  camera: RefObject<Camera>,
  size: RefObject<Size>,
  latest: RefObject<Latest>,
  move: (next: Camera) => void,
): Omit<FleetView, 'fitAll'> {
  const zoomOn = useCallback((factor: number, at: Point) => move(zoomAt(camera.current, factor, at)), [camera, move]);
  const zoom = useCallback(
    (factor: number) => zoomOn(factor, { x: size.current.width / 2, y: size.current.height / 2 }),
    [size, zoomOn],
  );
  const pan = useCallback((x: number, y: number) => move(panBy(camera.current, x, y)), [camera, move]);
  const lookAt = useCallback(
    (point: Point) => {
      const { width, height } = size.current;
      const free = { width: width - latest.current.covered, height };
      move(centre(point, Math.max(camera.current.zoom, 0.9), free));
    },
    [camera, size, latest, move],
  );
  const reveal = useCallback(
    (points: readonly Point[]) => {
      const { x, zoom } = camera.current;
      const right = Math.max(...points.map((p) => x + p.x * zoom)) + names;
      const free = size.current.width - latest.current.covered;
      // Only what is hidden by it: the view is somebody's own otherwise.
      if (right > free && right - 2 * names < size.current.width) move(panBy(camera.current, free - right, 0));
    },
    [camera, size, latest, move],
  );
  const find = useCallback(
    (at: Point) => hit(latest.current.scene, toMap(camera.current, at), reach / camera.current.zoom),
    [camera, latest],
  );
  return { zoom, pan, lookAt, reveal, find, zoomOn };
}
