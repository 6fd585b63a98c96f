/** Reads labels as people type them: key=value,key=value. wrong is the first part that is none; empty: all are. */
export function parseLabels(text: string): { labels: Record<string, string>; wrong: string } {
  const labels: Record<string, string> = {};
  for (const part of text.split(',').map((p) => p.trim())) {
    if (part === '') continue;
    const [key, value, more] = part.split('=').map((p) => p.trim());
    if (!key || value === undefined || more !== undefined) return { labels, wrong: part };
    labels[key] = value;
  }
  return { labels, wrong: '' };
}

/** Labels as people type them, sorted by key: what a table of them sorts, finds and exports. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}
