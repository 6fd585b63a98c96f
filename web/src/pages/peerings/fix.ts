/** The isthmus command that a fix names, if it does: from isthmus to the end of its clause. */
export function commandIn(fix: string): string | undefined {
  return /\bisthmus (?!agent runs)[a-z]+(?: [\w./=-]+)*/.exec(fix)?.[0].replace(/ (?:asks|takes|tells|does) .*$/, '');
}
