import { Badge, Tooltip } from '@mantine/core';
import type { Look } from './verdict';
import { verdictLook } from './verdict';

/** A state: its word, with an icon and a colour. hint is shown on hover and focus. */
export function StateBadge({ state, look, hint }: { state: string; look?: Look; hint?: string }) {
  const { color, icon: Icon } = look ?? verdictLook(state);
  const badge = (
    <Badge
      variant="outline"
      color={color}
      leftSection={<Icon size={14} color={`var(--mantine-color-${color}-text)`} aria-hidden />}
      styles={{ root: { flexShrink: 0, minWidth: 'max-content' } }}
      data-state={state}
      tabIndex={hint ? 0 : undefined}
    >
      {state || 'unknown'}
    </Badge>
  );
  if (!hint) return badge;
  return (
    <Tooltip label={hint} multiline maw={420} events={{ hover: true, focus: true, touch: true }}>
      {badge}
    </Tooltip>
  );
}
