/** The value that a record itself holds under a name that came from outside: `constructor` and its kin are nobody's key. */
export function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** The record without what it holds under that name; undefined when it holds nothing there. */
export function without<T>(record: Readonly<Record<string, T>>, name: string): Record<string, T> | undefined {
  if (!Object.hasOwn(record, name)) return undefined;
  return Object.fromEntries(Object.entries(record).filter(([key]) => key !== name));
}
