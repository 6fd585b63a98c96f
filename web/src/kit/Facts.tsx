import type { ReactNode } from 'react';
import classes from './facts.module.css';

/** Names and values, as a list of facts. A value that is undefined is left out; an empty string shows as a dash. */
export function Facts({ facts }: { facts: readonly (readonly [name: string, value: ReactNode])[] }) {
  return (
    <dl className={classes.facts}>
      {facts
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value === '' || value === null ? '–' : value}</dd>
          </div>
        ))}
    </dl>
  );
}
