/**
 * A table as CSV (RFC 4180), for spreadsheets: what they would take for a formula gets an apostrophe before it, and what they may take
 * for the end of a cell (; in much of Europe) is quoted.
 */
export function toCSV(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [header, ...rows].map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n';
}

/** A value's text, which no spreadsheet takes for a formula. */
function plain(value: string | number): string {
  const text = String(value);
  return typeof value === 'string' && /^(?:[\t\r\n]|\s*[=+\-@＝＋－＠])/.test(text) ? `'${text}` : text;
}

function cell(value: string | number): string {
  const text = plain(value);
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The same for the clipboard: tabs between cells, as spreadsheets paste it. */
export function toTSV(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [header, ...rows].map((row) => row.map((v) => plain(v).replaceAll(/[\t\r\n]+/g, ' ')).join('\t')).join('\n');
}

/** Has the browser save a text as a file. */
export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
