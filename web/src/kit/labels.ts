/** Reads labels as people type them, key=value each; a key alone has an empty value. What a key and a value may be is the server's to say. */
export function parseLabels(texts: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const text of texts.map((t) => t.trim()).filter((t) => t !== '')) {
    const [, key = '', value = ''] = /^([^=]*)=?(.*)$/s.exec(text) ?? [];
    labels[key.trim()] = value.trim();
  }
  return labels;
}

/** Each label as people type it, sorted by key. */
export function labelTexts(labels: Readonly<Record<string, string>>): string[] {
  return Object.entries(labels)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([key, value]) => `${key}=${value}`);
}

/** Labels as people type them: what a table of them sorts, finds and exports. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  return labelTexts(labels).join(',');
}
