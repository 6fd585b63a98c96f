// The server's clock. Times in answers are the server's; a browser's own clock may be hours off.

let offset = 0;

/** Takes the time of an answer, as its Date header has it (whole seconds) or its body. */
export function sawServerTime(text: string | null | undefined): void {
  const at = Date.parse(text ?? '');
  if (Number.isNaN(at)) return;
  const difference = at - Date.now();
  // Within what a header's whole seconds and the way here can be, clocks agree.
  offset = Math.abs(difference) < 2000 ? 0 : difference;
}

/** A time of this browser's clock (ms) as the server's clock has it. */
export function serverTime(local: number): number {
  return local + offset;
}
