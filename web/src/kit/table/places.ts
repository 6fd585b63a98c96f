/**
 * Places are what the rows of a table that are there are known by, so that their elements are used again: a row that stays keeps its place, and one
 * that comes takes that of one that went. Of the same rows they tell the same again.
 */
export class Places {
  private taken: ReadonlyMap<string, number> = new Map();
  private held: string | undefined;

  /**
   * Holds the row in which somebody is with the keyboard; undefined: nobody is in any. When it goes, its place stays free: what they press next would
   * be taken by another row.
   */
  hold(row: string | undefined) {
    this.held = row;
  }

  /** The place of each row; rows are named once each. */
  of(rows: readonly string[]): number[] {
    const kept = new Set(rows.map((row) => this.taken.get(row)));
    if (this.held !== undefined) kept.add(this.taken.get(this.held));
    let next = 0;
    const free = () => {
      while (kept.has(next)) next++;
      return next++;
    };
    const places = rows.map((row) => this.taken.get(row) ?? free());
    this.taken = new Map(rows.map((row, i) => [row, places[i] ?? 0]));
    return places;
  }
}
