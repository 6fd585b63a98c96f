import { ActionIcon, Group, VisuallyHidden } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { IconFocusCentered, IconMinus, IconPlus } from '@tabler/icons-react';
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from 'react';
import { countStates } from './concern';
import type { Choice, Choose } from './choice';
import { Details } from './Details';
import classes from './graph.module.css';
import { itemsOf, type FleetMap, healthOf, isLink, isWrong, type MapLink, type MapNode } from './map';
import { type Layout, layout, type Point } from './layout';
import { Legend } from './Legend';
import { sceneOf } from './scene';
import { type FleetView, useFleetCanvas } from './useFleetCanvas';
import { usePointers } from './usePointers';

/** As graph.module.css has it, with the room around. */
const detailsWidth = 336;

interface Props {
  map: FleetMap;
  match: { nodes: Set<MapNode>; links: Set<MapLink> };
  /** What the map groups by. */
  by: string;
  /** The datacenter that is looked at everywhere; empty: all. */
  scope: string;
  choice: Choice;
  choose: Choose;
  /** What somebody asked to see elsewhere on the page: a new one for each asking. */
  show: Shown | undefined;
}

export interface Shown {
  /** Of a node or link. */
  id: string;
}

/** The map as a picture to zoom, pan and click. What it shows is also in the tables below it. */
export function FleetGraph({ map, match, by, scope, choice, choose, show }: Props) {
  const picture = `${choice.layout} ${by} ${scope}`;
  const placed = useLayout(map, choice, by, picture);
  const scene = useMemo(() => sceneOf(map, placed, match), [map, placed, match]);
  const [pointed, setPointed] = useState<{ id: string; at: Point }>();
  const chosen = map.find.get(choice.at);
  const under = pointed && map.find.get(pointed.id);
  const canvas = useRef<HTMLCanvasElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  // On a narrow screen the details are below the map.
  const beside = useMediaQuery('(min-width: 48em)', true);
  const covered = chosen !== undefined && beside ? detailsWidth : 0;
  const help = useId();

  const view = useFleetCanvas(canvas, { scene, box: placed.box, picture, chosen, pointed: under, covered });
  const pointers = usePointers(frame, {
    view,
    onPoint: (at) => {
      const found = view.find(at);
      setPointed(found && { id: found.id, at });
    },
    onLeave: () => setPointed(undefined),
    onClick: (at) => choose({ at: view.find(at)?.id ?? '' }),
  });
  useShow(show, choice.at, map, placed, view);

  return (
    <div className={classes.whole}>
      {/* An application takes keys and pointers itself: that is what the role is for. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        ref={frame}
        className={classes.frame}
        role="application"
        aria-label="Map of the fleet"
        aria-describedby={help}
        // Focusable, so that the keyboard moves it.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        onKeyDown={(event) => steer(event, view, () => choose({ at: '' }))}
        data-pointed={under === undefined ? undefined : true}
        {...pointers}
      >
        <canvas ref={canvas} className={classes.canvas}>
          {summary(map)}
        </canvas>
        {under !== undefined && pointed !== undefined && <Hint about={under} at={pointed.at} />}
      </div>
      <VisuallyHidden id={help}>
        Arrow keys move the map, plus and minus zoom, 0 shows all, Escape closes the details. The tables below the map
        list the same datacenters and connections.
      </VisuallyHidden>
      <Tools view={view} />
      {chosen !== undefined && (
        <div className={classes.details}>
          <Details about={chosen} onClose={() => choose({ at: '' })} onChoose={(id) => choose({ at: id })} />
        </div>
      )}
      <Legend map={map} />
    </div>
  );
}

/** What keys do on the map. */
function steer(event: KeyboardEvent, view: FleetView, onClose: () => void): void {
  const step = 60;
  const act: Record<string, () => void> = {
    ArrowLeft: () => view.pan(step, 0),
    ArrowRight: () => view.pan(-step, 0),
    ArrowUp: () => view.pan(0, step),
    ArrowDown: () => view.pan(0, -step),
    '+': () => view.zoom(1.25),
    '=': () => view.zoom(1.25),
    '-': () => view.zoom(0.8),
    '0': view.fitAll,
    Escape: onClose,
  };
  if (event.ctrlKey || event.metaKey || event.altKey || act[event.key] === undefined) return;
  event.preventDefault();
  act[event.key]?.();
}

function Tools({ view }: { view: FleetView }) {
  return (
    <Group gap={4} className={classes.tools}>
      <ActionIcon variant="default" aria-label="Zoom in" onClick={() => view.zoom(1.4)}>
        <IconPlus size={16} />
      </ActionIcon>
      <ActionIcon variant="default" aria-label="Zoom out" onClick={() => view.zoom(1 / 1.4)}>
        <IconMinus size={16} />
      </ActionIcon>
      <ActionIcon variant="default" aria-label="Show all" onClick={view.fitAll}>
        <IconFocusCentered size={16} />
      </ActionIcon>
    </Group>
  );
}

/** Where everything stands; while the picture is the same, what stands somewhere stays there. */
function useLayout(map: FleetMap, choice: Choice, by: string, picture: string): Layout {
  const [kept, setKept] = useState<{ map: FleetMap; picture: string; layout: Layout }>();
  if (kept?.map === map && kept.picture === picture) return kept.layout;
  const before = kept?.picture === picture ? kept.layout : undefined;
  const next = layout(choice.layout, itemsOf(map, by), before);
  setKept({ map, picture, layout: next });
  return next;
}

/** Brings what somebody asked to be shown into the middle, once for each asking; and what is chosen out from under its details. */
function useShow(show: Shown | undefined, chosen: string, map: FleetMap, placed: Layout, view: FleetView) {
  const { lookAt, reveal } = view;
  const points = useRef<(id: string) => Point[]>(() => []);
  useEffect(() => {
    points.current = (id) => {
      const found = map.find.get(id);
      if (found === undefined) return [];
      return (isLink(found) ? [found.from, found.to] : [found]).flatMap((n) => placed.at.get(n.name) ?? []);
    };
  }, [map, placed]);
  useEffect(() => {
    const at = points.current(chosen);
    if (at.length > 0) reveal(at);
  }, [chosen, reveal]);
  useEffect(() => {
    const at = show === undefined ? [] : points.current(show.id);
    const middle = (values: number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
    if (at.length > 0) lookAt({ x: middle(at.map((p) => p.x)), y: middle(at.map((p) => p.y)) });
  }, [show, lookAt]);
}

function Hint({ about, at }: { about: MapNode | MapLink; at: Point }) {
  return (
    <div className={classes.hint} style={{ left: at.x + 14, top: at.y + 14 }} aria-hidden>
      {isLink(about) ? (
        <>
          <b>
            {about.a} – {about.b}
          </b>
          <br />
          {about.kind} {about.name}: {about.verdict}
        </>
      ) : (
        <>
          <b>{about.name}</b>
          <br />
          {healthOf(about)}
          {about.datacenter && about.datacenter.health !== 'healthy' && `: ${about.datacenter.reason}`}
        </>
      )}
    </div>
  );
}

function summary(map: FleetMap): string {
  const counts = (states: string[]) =>
    countStates(states)
      .map(([state, n]) => `${n} ${state}`)
      .join(', ');
  const wrong = map.links.filter((l) => isWrong(l.verdict)).length;
  const own = map.nodes.filter((n) => n.datacenter !== undefined);
  const others = map.nodes.length - own.length;
  const beside = others === 0 ? '' : ` ${others} external clusters.`;
  return `${own.length} datacenters: ${counts(own.map(healthOf))}.${beside} ${map.links.length} connections, ${wrong} of them wrong.`;
}
