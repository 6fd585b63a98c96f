// Every change that the dashboard makes to what is declared goes through manifests, as with `isthmus apply`: first a dry run that is
// shown, then the same text for real.

import { answer, api } from './client';
import type { ApplyResponse } from './types';

export { type Manifest, toYAML } from './manifest';

/** What the manifests would change. */
export function dryRun(manifests: string, force = false): Promise<ApplyResponse> {
  return answer(api.POST('/v1/apply', { body: { manifests, dryRun: true, force } }));
}

/** Makes the change: all of it or nothing. */
export function apply(manifests: string, force = false): Promise<ApplyResponse> {
  return answer(api.POST('/v1/apply', { body: { manifests, force } }));
}
