// Manifests as people write them.

import { stringify } from 'yaml';
import type { Kind } from './types';

export interface Manifest {
  kind: Kind;
  name: string;
  labels?: Record<string, string>;
  spec: object;
}

/** Manifests as YAML, in the order in which people write them. Empty fields are left out. */
export function toYAML(manifests: readonly Manifest[]): string {
  return manifests
    .map(({ kind, name, labels, spec }) =>
      stringify(compact({ kind, name, labels, spec }), { lineWidth: 0, aliasDuplicateObjects: false }),
    )
    .join('---\n');
}

function compact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(compact);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, v]) => [key, compact(v)] as const)
      .filter(([, v]) => !isEmpty(v)),
  );
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
