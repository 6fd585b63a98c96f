import { type PointerEvent, type RefObject, useEffect, useRef } from 'react';
import type { Point } from './layout';
import type { FleetView } from './useFleetCanvas';

/** A pointer that moved less (CSS pixels) clicked. */
const click = 4;

interface Hooks {
  view: FleetView;
  onPoint: (at: Point) => void;
  onLeave: () => void;
  onClick: (at: Point) => void;
}

/**
 * Mouse, pen and fingers: drag to pan, two fingers or the wheel to zoom. So that nobody is caught in the map while scrolling the page,
 * one finger scrolls the page, and the wheel zooms once the map has the focus (by a click), or with Ctrl.
 */
export function usePointers(ref: RefObject<HTMLElement | null>, { view, onPoint, onLeave, onClick }: Hooks) {
  const down = useRef(new Map<number, Point>());
  const path = useRef(0);
  const { zoomOn } = view;

  useEffect(() => {
    const element = ref.current;
    const wheel = (event: WheelEvent) => {
      if (element === null || !(event.ctrlKey || element.contains(document.activeElement))) return;
      event.preventDefault();
      // Lines and pages as some mice count them; a step is never more than a third.
      const pixels = event.deltaY * (event.deltaMode === 0 ? 1 : 33);
      zoomOn(Math.exp(Math.max(-0.3, Math.min(0.3, -pixels / 400))), within(element, event));
    };
    // Not as React adds it: a passive one cannot keep the page from scrolling.
    element?.addEventListener('wheel', wheel, { passive: false });
    return () => element?.removeEventListener('wheel', wheel);
  }, [ref, zoomOn]);

  return {
    onPointerDown: (event: PointerEvent<HTMLElement>) => {
      if (event.button !== 0) return;
      event.currentTarget.setPointerCapture(event.pointerId);
      down.current.set(event.pointerId, within(event.currentTarget, event));
      path.current = 0;
    },
    onPointerMove: (event: PointerEvent<HTMLElement>) => {
      const at = within(event.currentTarget, event);
      const before = down.current.get(event.pointerId);
      if (before === undefined) {
        onPoint(at);
        return;
      }
      path.current += Math.hypot(at.x - before.x, at.y - before.y);
      const other = [...down.current].find(([id]) => id !== event.pointerId)?.[1];
      down.current.set(event.pointerId, at);
      if (other === undefined) {
        if (path.current > click && event.pointerType !== 'touch') view.pan(at.x - before.x, at.y - before.y);
        return;
      }
      const middle = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
      const spread = Math.hypot(at.x - other.x, at.y - other.y);
      const was = Math.hypot(before.x - other.x, before.y - other.y);
      if (was > 0) view.zoomOn(spread / was, middle);
      view.pan((at.x - before.x) / 2, (at.y - before.y) / 2);
    },
    onPointerUp: (event: PointerEvent<HTMLElement>) => {
      const clicked = down.current.delete(event.pointerId) && path.current <= click && down.current.size === 0;
      if (clicked) onClick(within(event.currentTarget, event));
    },
    onPointerCancel: (event: PointerEvent<HTMLElement>) => down.current.delete(event.pointerId),
    onPointerLeave: onLeave,
  };
}

function within(element: HTMLElement, event: { clientX: number; clientY: number }): Point {
  const { left, top } = element.getBoundingClientRect();
  return { x: event.clientX - left, y: event.clientY - top };
}
