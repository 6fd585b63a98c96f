// Every change that the dashboard makes to what is declared goes through manifests, as with `isthmus apply`: first a dry run that is
// shown, then the same text for real.

import { stringify } from 'yaml';
import { answer, api } from './client';
import type { ApplyResponse, Kind } from './types';

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

/** What the manifests would change. */
export function dryRun(manifests: string): Promise<ApplyResponse> {
  return answer(api.POST('/v1/apply', { body: { manifests, dryRun: true } }));
}

/** Makes the change: all of it or nothing. */
export function apply(manifests: string, force = false): Promise<ApplyResponse> {
  return answer(api.POST('/v1/apply', { body: { manifests, force } }));
}
