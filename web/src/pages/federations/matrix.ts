import type { ReachedGateway } from '../../api/types';

export interface Cell {
  from: string;
  to: string;
  /** yes: every address; some: not every one; no: none; unknown: nobody knows. */
  reached: 'yes' | 'some' | 'no' | 'unknown';
  /** The smallest of those that are reached, in ms. */
  latency: number | undefined;
  /** All addresses. */
  gateways: ReachedGateway[];
}

export interface Matrix {
  names: string[];
  /** By row (from) and column (to), as names has them; undefined: nobody tries, such as a datacenter its own. */
  cells: (Cell | undefined)[];
}

/** Who reaches whom, as a square: one cell of all gateways of a datacenter. */
export function matrixOf(reached: readonly ReachedGateway[]): Matrix {
  const names = [...new Set(reached.flatMap((r) => [r.from, r.to]))].sort((a, b) => a.localeCompare(b));
  const place = new Map(names.map((name, i) => [name, i]));
  const cells: (Cell | undefined)[] = Array.from({ length: names.length ** 2 });
  for (const gateway of reached) {
    const at = (place.get(gateway.from) ?? 0) * names.length + (place.get(gateway.to) ?? 0);
    const cell = cells[at] ?? {
      from: gateway.from,
      to: gateway.to,
      reached: 'unknown',
      latency: undefined,
      gateways: [],
    };
    cell.gateways.push(gateway);
    cells[at] = cell;
  }
  for (const cell of cells) {
    if (cell !== undefined) judge(cell);
  }
  return { names, cells };
}

function judge(cell: Cell): void {
  const yes = cell.gateways.filter((g) => g.reached === 'yes');
  const no = cell.gateways.filter((g) => g.reached === 'no');
  if (yes.length === cell.gateways.length) cell.reached = 'yes';
  else if (yes.length > 0) cell.reached = 'some';
  else if (no.length > 0) cell.reached = 'no';
  if (yes.length > 0) cell.latency = Math.min(...yes.map((g) => g.latencyMs));
}
