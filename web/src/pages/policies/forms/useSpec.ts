import { useEffect, useState } from 'react';

/** A form's values, and what they mean as a spec, told whenever they change. */
export function useSpec<T>(initial: T, toSpec: (values: T) => object, onSpec: (spec: object) => void) {
  const [values, setValues] = useState(initial);
  useEffect(() => {
    onSpec(toSpec(values));
  }, [values, toSpec, onSpec]);
  const set = (part: Partial<T>) => setValues((old) => ({ ...old, ...part }));
  return [values, set] as const;
}
