import { Tooltip } from '@mantine/core';
import classes from './badge.module.css';
import type { Look } from './verdict';
import { verdictLook } from './verdict';

/**
 * A state: its word, with an icon and a colour. hint is shown on hover and focus. It looks like Mantine's badge with an outline; of plain elements,
 * since a table has one in each row.
 */
export function StateBadge({ state, look, hint }: { state: string; look?: Look; hint?: string }) {
  const { color, icon: Icon } = look ?? verdictLook(state);
  const badge = (
    <span
      className={classes.badge}
      style={{ borderColor: `var(--mantine-color-${color}-outline)` }}
      data-state={state}
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- so that the keyboard, too, gets at its hint.
      tabIndex={hint ? 0 : undefined}
    >
      <Icon size={14} color={`var(--mantine-color-${color}-text)`} aria-hidden className={classes.icon} />
      {state || 'unknown'}
    </span>
  );
  if (!hint) return badge;
  return (
    <Tooltip label={hint} multiline maw={420} events={{ hover: true, focus: true, touch: true }}>
      {badge}
    </Tooltip>
  );
}
