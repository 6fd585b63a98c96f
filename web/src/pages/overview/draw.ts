// Draws a scene on a canvas. Colours are the theme's; every state has a sign of its own beside its colour.

import { words } from '../../kit/words';
import { type Camera, type Size, seen } from './camera';
import type { Box, Point } from './layout';
import { cut, nodeRadius, type Scene, type SceneLink, type SceneNode, type Shape, type Strand } from './scene';
import { verdictLook } from '../../kit/verdict';

export interface Colours {
  text: string;
  dimmed: string;
  body: string;
  font: string;
  /** By the names of Mantine's colours. */
  state: (color: string) => string;
}

/** A theme's colours, as they are now. */
export function coloursOf(element: Element, dark: boolean): Colours {
  const style = getComputedStyle(element);
  const value = (name: string) => style.getPropertyValue(name).trim();
  return {
    text: value('--mantine-color-text'),
    dimmed: value('--mantine-color-dimmed'),
    body: value('--mantine-color-body'),
    font: value('--mantine-font-family'),
    // At least 3:1 on the page.
    state: (color) => value(`--mantine-color-${color}-${dark ? 5 : 8}`),
  };
}

type Context = CanvasRenderingContext2D;

/** Names are drawn from this zoom on: below they would cover each other. */
const namesFrom = 0.5;
/** Many healthy links are a backdrop. */
const manyLinks = 400;
const manyWrong = 60;
/** Lines of one path: software draws several short paths faster than a long one. */
const pathMost = 64;

const signs = words<string>({
  healthy: '✓',
  failing: '✕',
  unknown: '?',
  pending: '…',
  removing: '−',
});

/** Draws all nodes and links that a screen of this size shows. The context's unit is a CSS pixel. */
export function draw(ctx: Context, scene: Scene, camera: Camera, size: Size, colours: Colours): void {
  const view = seen(camera, size);
  ctx.clearRect(0, 0, size.width, size.height);
  const many = scene.strands.reduce((sum, s) => sum + s.links.length, 0) > manyLinks;
  for (const strand of scene.strands) drawStrand(ctx, strand, camera, view, colours, many);
  for (const node of scene.nodes) if (inView(node, view)) drawNode(ctx, node, camera, colours);
}

function toScreen(camera: Camera, p: Point): Point {
  return { x: camera.x + p.x * camera.zoom, y: camera.y + p.y * camera.zoom };
}

function inView(p: Point, view: Box): boolean {
  const room = 80;
  return (
    p.x > view.x - room && p.y > view.y - room && p.x < view.x + view.width + room && p.y < view.y + view.height + room
  );
}

function crosses({ from, to }: SceneLink, view: Box): boolean {
  return (
    Math.max(from.x, to.x) > view.x &&
    Math.max(from.y, to.y) > view.y &&
    Math.min(from.x, to.x) < view.x + view.width &&
    Math.min(from.y, to.y) < view.y + view.height
  );
}

function drawStrand(ctx: Context, strand: Strand, camera: Camera, view: Box, colours: Colours, many: boolean): void {
  const { color, weight } = verdictLook(strand.state);
  const wrong = weight > 1;
  ctx.strokeStyle = colours.state(color);
  // Where hundreds are wrong, none of them is thick: the datacenters between them are to be seen.
  const heavy = wrong && strand.links.length > manyWrong;
  ctx.globalAlpha = strand.faded ? 0.06 : wrong ? (heavy ? 0.55 : 0.95) : many ? 0.18 : 0.7;
  ctx.lineWidth = wrong && !strand.faded ? (heavy ? 1 : 2.25) : many ? 0.75 : 1.5;
  const shown = strand.links.filter((l) => crosses(l, view));
  strokeLinks(ctx, shown, camera, strand.dashed);
  // An arrow on each of thousands of lines is none.
  const near = shown.length <= manyWrong || camera.zoom > namesFrom;
  if (!strand.faded && near) for (const link of shown) drawFault(ctx, link, camera, colours.state(color));
  ctx.globalAlpha = 1;
}

function strokeLinks(ctx: Context, links: readonly SceneLink[], camera: Camera, dashed: boolean): void {
  ctx.setLineDash(dashed ? [7, 5] : []);
  for (let first = 0; first < links.length; first += pathMost) {
    ctx.beginPath();
    for (const link of links.slice(first, first + pathMost)) {
      const [from, to] = [toScreen(camera, link.from), toScreen(camera, link.to)];
      ctx.moveTo(from.x, from.y);
      ctx.lineTo(to.x, to.y);
    }
    ctx.stroke();
  }
  ctx.setLineDash([]);
}

/** An arrow against a bar, in the direction in which nothing arrives; for both directions a cross. */
function drawFault(ctx: Context, { link, from, to }: SceneLink, camera: Camera, color: string): void {
  if (link.broken === '') return;
  const [a, b] = [toScreen(camera, from), toScreen(camera, to)];
  const length = Math.hypot(b.x - a.x, b.y - a.y);
  if (length < 24) return;
  const back = link.broken === 'b-to-a';
  const [x, y] = [((b.x - a.x) / length) * (back ? -1 : 1), ((b.y - a.y) / length) * (back ? -1 : 1)];
  const r = Math.min(9, length / 6);
  ctx.save();
  // The unit is along the broken direction.
  ctx.transform(x, y, -y, x, (a.x + b.x) / 2, (a.y + b.y) / 2);
  ctx.fillStyle = color;
  ctx.strokeStyle = color;
  ctx.lineWidth = 2.5;
  ctx.beginPath();
  if (link.broken === 'both') {
    ctx.moveTo(-r * 0.8, -r * 0.8);
    ctx.lineTo(r * 0.8, r * 0.8);
    ctx.moveTo(-r * 0.8, r * 0.8);
    ctx.lineTo(r * 0.8, -r * 0.8);
    ctx.stroke();
  } else {
    ctx.moveTo(r, 0);
    ctx.lineTo(-r, r * 0.75);
    ctx.lineTo(-r, -r * 0.75);
    ctx.fill();
    ctx.beginPath();
    ctx.moveTo(r + 2, -r);
    ctx.lineTo(r + 2, r);
    ctx.stroke();
  }
  ctx.restore();
}

/** How large a node is on the screen: never too small to be seen, and what is wrong is larger then. */
function radiusOf(node: SceneNode, camera: Camera): number {
  const wrong = verdictLook(node.state).weight > 1 && node.state !== 'external';
  return Math.max(nodeRadius * camera.zoom, wrong && !node.faded ? 8 : 2.5);
}

function drawNode(ctx: Context, node: SceneNode, camera: Camera, colours: Colours): void {
  const { x, y } = toScreen(camera, node);
  const r = radiusOf(node, camera);
  const external = node.state === 'external';
  const fill = colours.state(verdictLook(external ? '' : node.state).color);
  ctx.globalAlpha = node.faded ? 0.15 : 1;
  trace(ctx, node.shape, x, y, r);
  if (r >= 6) {
    // Stands out from the lines behind it.
    ctx.lineWidth = 5;
    ctx.strokeStyle = colours.body;
    ctx.stroke();
  }
  ctx.lineWidth = 2;
  ctx.strokeStyle = fill;
  ctx.fillStyle = external ? colours.body : fill;
  ctx.fill();
  if (external) ctx.stroke();
  if (r >= 6) {
    ctx.fillStyle = external ? colours.text : colours.body;
    ctx.textAlign = 'center';
    ctx.textBaseline = 'middle';
    ctx.font = `700 ${Math.round(r * 1.15)}px ${colours.font}`;
    ctx.fillText(external ? '' : (signs[node.state] ?? '?'), x, y + 0.5);
  }
  if (camera.zoom >= namesFrom && !node.faded) drawName(ctx, node, { x, y: y + r }, camera, colours);
  ctx.globalAlpha = 1;
}

function trace(ctx: Context, shape: Shape, x: number, y: number, r: number): void {
  ctx.beginPath();
  switch (shape) {
    case 'circle':
      ctx.arc(x, y, r, 0, 2 * Math.PI);
      break;
    case 'square':
      ctx.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
      break;
    case 'diamond':
      ctx.moveTo(x, y - r * 1.15);
      ctx.lineTo(x + r * 1.15, y);
      ctx.lineTo(x, y + r * 1.15);
      ctx.lineTo(x - r * 1.15, y);
      ctx.closePath();
  }
}

/** The name below a node, and its runtime and version, on the page's colour so that lines behind do not cross it out. */
function drawName(ctx: Context, node: SceneNode, below: Point, camera: Camera, colours: Colours): void {
  const small = camera.zoom < 0.85;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'top';
  ctx.lineJoin = 'round';
  ctx.lineWidth = 4;
  ctx.strokeStyle = colours.body;
  const line = (text: string, y: number, font: string, color: string) => {
    ctx.font = font;
    ctx.strokeText(text, below.x, y);
    ctx.fillStyle = color;
    ctx.fillText(text, below.x, y);
  };
  const title = small ? cut(node.title, 14) : node.title;
  line(title, below.y + 4, `600 ${small ? 11 : 12}px ${colours.font}`, colours.text);
  if (!small) line(node.subtitle, below.y + 19, `11px ${colours.font}`, colours.dimmed);
}

/** The names of groups, on a screen of this size. */
export function drawTitles(ctx: Context, scene: Scene, camera: Camera, size: Size, colours: Colours): void {
  const view = seen(camera, size);
  ctx.textAlign = 'center';
  ctx.textBaseline = 'alphabetic';
  ctx.font = `600 13px ${colours.font}`;
  ctx.lineJoin = 'round';
  ctx.lineWidth = 4;
  ctx.strokeStyle = colours.body;
  ctx.fillStyle = colours.text;
  for (const title of scene.titles) {
    if (!inView(title, view)) continue;
    const { x: middle, y } = toScreen(camera, title);
    // Not beyond the edge, where it would be cut.
    const half = ctx.measureText(title.text).width / 2 + 6;
    const x = Math.max(half, Math.min(size.width - half, middle));
    ctx.strokeText(title.text, x, y);
    ctx.fillText(title.text, x, y);
  }
}

/** What is pointed at or chosen, on top of everything: links, their ends, and a ring around what it is about. */
export function drawFocus(
  ctx: Context,
  focus: { nodes: readonly SceneNode[]; links: readonly SceneLink[]; about?: SceneNode; veil: boolean },
  camera: Camera,
  size: Size,
  colours: Colours,
): void {
  if (focus.veil) {
    ctx.globalAlpha = 0.72;
    ctx.fillStyle = colours.body;
    ctx.fillRect(0, 0, size.width, size.height);
    ctx.globalAlpha = 1;
  }
  for (const link of focus.links) {
    const color = colours.state(verdictLook(link.link.verdict).color);
    ctx.strokeStyle = color;
    ctx.lineWidth = 2.5;
    strokeLinks(ctx, [link], camera, link.link.kind === 'federation');
    drawFault(ctx, link, camera, color);
  }
  for (const node of focus.nodes) drawNode(ctx, { ...node, faded: false }, camera, colours);
  if (focus.about === undefined) return;
  const { x, y } = toScreen(camera, focus.about);
  const r = radiusOf(focus.about, camera);
  ctx.strokeStyle = colours.text;
  ctx.lineWidth = 2;
  trace(ctx, focus.about.shape, x, y, r + 4);
  ctx.stroke();
  drawName(ctx, focus.about, { x, y: y + r + 3 }, { ...camera, zoom: 1 }, colours);
}
