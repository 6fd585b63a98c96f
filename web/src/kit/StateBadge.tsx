import { Badge, Tooltip } from '@mantine/core';
import type { Look } from './verdict';
import { verdictLook } from './verdict';

/** A state: its word, with an icon and a colour. hint is shown on hover and focus. */
export function StateBadge({ state, look, hint }: { state: string; look?: Look; hint?: string }) {
  const { color, icon: Icon } = look ?? verdictLook(state);
  const badge = (
    <Badge
      // Mantine's light variant is below AA with some colours: the text has the page's own colour, the border the state's.
      variant="outline"
      color={color}
      tt="none"
      leftSection={<Icon size={14} color={`var(--mantine-color-${color}-text)`} aria-hidden />}
      styles={{ root: { flexShrink: 0, minWidth: 'max-content' }, label: { color: 'var(--mantine-color-text)' } }}
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
