// Commands that people copy: names in them come from the fleet, from an address, or from whoever filled in a form.

/** A word that means itself in any shell. */
const bare = /^[\w.:/@%+=][\w.:/@%+=-]*$/;

/** What moves, hides or turns round text without being seen. */
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;

/** A text as one word of a command, as resource.ShellWord makes it; what is not seen becomes a space. */
export function shellWord(text: string): string {
  return bare.test(text) ? text : `'${text.replaceAll(unseen, ' ').replaceAll("'", String.raw`'\''`)}'`;
}

/** A template of a command: each value in it is one word, whatever it holds. */
export function command(texts: TemplateStringsArray, ...words: readonly string[]): string {
  return String.raw({ raw: texts }, ...words.map(shellWord));
}
