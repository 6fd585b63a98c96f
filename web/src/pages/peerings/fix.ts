/**
 * The command that a fix of a connection names, if it is one of those that are known to help this very peering; a fix may hold what an
 * agent says, so that nothing else of it is offered to be copied.
 */
export function commandIn(fix: string, peering: string): string | undefined {
  const found = [...fix.matchAll(/(?<![\w./-])isthmus peering (?:heal|rotate) ([\w-]+(?:\.[\w-]+)*)(?![\w/-]|\.\w)/g)];
  return found.find(([, name]) => name === peering)?.[0];
}
