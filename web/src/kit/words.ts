/** A table from words to what they mean, for words that come from elsewhere: it knows its own alone, not those of every object (constructor, __proto__). */
export function words<T>(known: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.assign(Object.create(null) as Record<string, T>, known);
}
