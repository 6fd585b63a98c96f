// A canvas that shows a scene through a camera. What is large is drawn once, with some room around it, and that picture is moved while
// the camera moves; it is drawn again when the camera rests. So that a thousand nodes pan as a hundred do, without a graphics card.

import type { Camera, Size } from './camera';
import { type Colours, draw, drawFocus, drawTitles } from './draw';
import type { MapLink, MapNode } from './map';
import { isLink } from './map';
import type { Scene, SceneLink, SceneNode } from './scene';

/** From so many shapes on, a picture is moved rather than all drawn at each frame. */
const pictureFrom = 700;
/** Room around the screen in a picture, as a part of the screen. */
const room = 0.3;
/** A camera that has not moved for so long (ms) rests. */
const rest = 140;
/** While it moves on beyond the picture, a new one is drawn at most this often (ms). */
const redraw = 400;

interface Picture {
  canvas: HTMLCanvasElement;
  camera: Camera;
  at: number;
}

export class MapCanvas {
  private scene?: Scene;
  private colours?: Colours;
  private camera: Camera = { x: 0, y: 0, zoom: 1 };
  private size: Size = { width: 0, height: 0 };
  private chosen?: MapNode | MapLink;
  private pointed?: MapNode | MapLink;
  private picture?: Picture;
  /** The picture does not show what it should. */
  private old = true;
  private moved = 0;
  private frame = 0;
  private timer?: ReturnType<typeof setTimeout>;

  constructor(private readonly canvas: HTMLCanvasElement) {}

  show(scene: Scene, colours: Colours): void {
    this.scene = scene;
    this.colours = colours;
    this.old = true;
    this.schedule();
  }

  look(camera: Camera): void {
    this.camera = camera;
    this.moved = performance.now();
    this.schedule();
  }

  /** What is chosen stands out from all the rest; what is pointed at is drawn stronger. */
  focus(chosen: MapNode | MapLink | undefined, pointed: MapNode | MapLink | undefined): void {
    this.chosen = chosen;
    this.pointed = pointed;
    this.schedule();
  }

  resize(size: Size): void {
    const scale = this.scale();
    this.size = size;
    this.canvas.width = Math.round(size.width * scale);
    this.canvas.height = Math.round(size.height * scale);
    // Of another size, it would be drawn where it is not.
    this.picture = undefined;
    // At once: a canvas is empty after its size was set.
    this.paint();
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
  }

  private scale(): number {
    return Math.min(window.devicePixelRatio || 1, 2);
  }

  private schedule(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  private paint(): void {
    const { scene, colours, camera, size } = this;
    const ctx = this.canvas.getContext('2d');
    if (scene === undefined || colours === undefined || ctx === null || size.width === 0) return;
    const scale = this.scale();
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    const links = scene.strands.reduce((sum, s) => sum + s.links.length, 0);
    if (scene.nodes.length + links < pictureFrom) draw(ctx, scene, camera, size, colours);
    else this.paintPicture(ctx, scene, colours, scale);
    drawTitles(ctx, scene, camera, size, colours);
    for (const [about, veil] of [
      [this.chosen, true],
      [this.pointed, false],
    ] as const) {
      if (about !== undefined) drawFocus(ctx, { ...focusOf(scene, about), veil }, camera, size, colours);
    }
  }

  private paintPicture(ctx: CanvasRenderingContext2D, scene: Scene, colours: Colours, scale: number): void {
    const now = performance.now();
    const moving = now - this.moved < rest;
    if (this.picture === undefined || !this.usable(this.picture, moving, now)) this.take(scene, colours, scale, now);
    const { picture, camera, size } = this;
    if (picture === undefined) return;
    const ratio = camera.zoom / picture.camera.zoom;
    const [x, y] = [camera.x - picture.camera.x * ratio, camera.y - picture.camera.y * ratio];
    ctx.clearRect(0, 0, size.width, size.height);
    ctx.drawImage(
      picture.canvas,
      x - room * size.width * ratio,
      y - room * size.height * ratio,
      (1 + 2 * room) * size.width * ratio,
      (1 + 2 * room) * size.height * ratio,
    );
    clearTimeout(this.timer);
    if (moving) this.timer = setTimeout(() => this.schedule(), rest);
  }

  /** Tells whether a picture does for now: it shows what it should, or the camera moves and it covers the screen nearly. */
  private usable(picture: Picture, moving: boolean, now: number): boolean {
    const { camera, size, old } = this;
    const was = picture.camera;
    const same = was.x === camera.x && was.y === camera.y && was.zoom === camera.zoom;
    if (!moving) return same && !old;
    if (now - picture.at < redraw) return true;
    const ratio = camera.zoom / was.zoom;
    const [x, y] = [camera.x - was.x * ratio, camera.y - was.y * ratio];
    const covered =
      x - room * size.width * ratio <= 0 &&
      y - room * size.height * ratio <= 0 &&
      x + (1 + room) * size.width * ratio >= size.width &&
      y + (1 + room) * size.height * ratio >= size.height;
    return covered && ratio < 2;
  }

  private take(scene: Scene, colours: Colours, scale: number, now: number): void {
    const { camera, size } = this;
    const canvas = this.picture?.canvas ?? document.createElement('canvas');
    const whole = { width: size.width * (1 + 2 * room), height: size.height * (1 + 2 * room) };
    const [width, height] = [Math.round(whole.width * scale), Math.round(whole.height * scale)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const ctx = canvas.getContext('2d');
    if (ctx === null) return;
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    const moved = { ...camera, x: camera.x + room * size.width, y: camera.y + room * size.height };
    draw(ctx, scene, moved, whole, colours);
    this.picture = { canvas, camera, at: now };
    this.old = false;
  }
}

function focusOf(scene: Scene, about: MapNode | MapLink) {
  const links = isLink(about) ? [about] : about.links;
  const ends = new Set(isLink(about) ? [about.from, about.to] : [about, ...links.flatMap((l) => [l.from, l.to])]);
  return {
    links: links.map((l) => scene.find.get(l) as SceneLink | undefined).filter((l) => l !== undefined),
    nodes: [...ends].map((n) => scene.find.get(n) as SceneNode | undefined).filter((n) => n !== undefined),
    about: isLink(about) ? undefined : (scene.find.get(about) as SceneNode | undefined),
  };
}
