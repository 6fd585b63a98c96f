// What part of the map is looked at. Pure: on the screen a point of the map is at (x, y) + zoom × point, in CSS pixels.

import type { Box, Point } from './layout';

export interface Camera extends Point {
  zoom: number;
}

export interface Size {
  width: number;
  height: number;
}

const zoomMost = 3;
const zoomLeast = 0.02;
/** A small fleet is not blown up to fill the screen. */
const fitMost = 1.15;

/** Everything at once. */
export function fit(box: Box, size: Size): Camera {
  const zoom = Math.min(size.width / Math.max(box.width, 1), size.height / Math.max(box.height, 1), fitMost);
  return centre({ x: box.x + box.width / 2, y: box.y + box.height / 2 }, limit(zoom), size);
}

/** One point in the middle. */
export function centre(point: Point, zoom: number, size: Size): Camera {
  return { zoom, x: size.width / 2 - point.x * zoom, y: size.height / 2 - point.y * zoom };
}

/** Nearer (factor above 1) or farther, with what is at a point of the screen staying there. */
export function zoomAt(camera: Camera, factor: number, at: Point): Camera {
  const zoom = limit(camera.zoom * factor);
  const ratio = zoom / camera.zoom;
  return { zoom, x: at.x - (at.x - camera.x) * ratio, y: at.y - (at.y - camera.y) * ratio };
}

export function panBy(camera: Camera, x: number, y: number): Camera {
  return { ...camera, x: camera.x + x, y: camera.y + y };
}

/** The point of the map that is at a point of the screen. */
export function toMap(camera: Camera, at: Point): Point {
  return { x: (at.x - camera.x) / camera.zoom, y: (at.y - camera.y) / camera.zoom };
}

/** The part of the map on a screen of this size. */
export function seen(camera: Camera, size: Size): Box {
  const { x, y } = toMap(camera, { x: 0, y: 0 });
  return { x, y, width: size.width / camera.zoom, height: size.height / camera.zoom };
}

function limit(zoom: number): number {
  return Math.min(zoomMost, Math.max(zoomLeast, zoom));
}
