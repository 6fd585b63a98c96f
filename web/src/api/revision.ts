// The newest index that this page has heard of. Reads ask for answers that are at least as new, so that a replica that is behind
// cannot bring back what was changed or deleted.

let newest = 0n;

/** Notes an index of an answer, as the API writes it: a decimal number. */
export function sawIndex(index: string): void {
  const seen = BigInt(index || '0');
  if (seen > newest) newest = seen;
}

/** Starts over: the server's history is another one. */
export function forgetIndex(): void {
  newest = 0n;
}

/** What to send as minIndex. */
export function indexSeen(): string {
  return newest.toString();
}
