import { Group, List, Stack, Text } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { Peering } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { Facts } from '../../kit/Facts';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { type Look, verdictLook } from '../../kit/verdict';
import { words } from '../../kit/words';
import { hangs } from './peering';

/** What each mode means. */
export const healModes = [
  { value: 'suggest', label: 'suggest', text: 'says which step would help, and waits for somebody to take it' },
  { value: 'auto', label: 'auto', text: 'takes the steps by itself, within limits' },
  { value: 'off', label: 'off', text: 'says and does nothing; Re-establish still works' },
] as const;

// The ladder of healing: docs/health.md.
const ladder = [
  ['reestablish', 'a fresh token begins a lost stream anew'],
  ['transfer-leader', 'the dialer’s Consul servers choose another leader, which begins all streams anew'],
] as const;

const looks = words<Look>({
  suggested: verdictLook('stale'),
  trying: verdictLook('pending'),
  helped: verdictLook('healthy'),
  exhausted: verdictLook('failing'),
});

/** What is done about a stream that hangs, and how far that is. */
export function HealingPanel({ query }: { query: UseQueryResult<Peering> }) {
  return (
    <Panel title="Healing" query={query}>
      {(p) => {
        const heal = p.status?.heal;
        const mode = (p.spec?.heal as string | undefined) || 'suggest';
        return (
          <Stack gap="sm">
            <Facts
              facts={[
                ['Mode', `${mode}: ${healModes.find((m) => m.value === mode)?.text ?? ''}`],
                ['State', heal?.state ? <StateBadge state={heal.state} look={looks[heal.state]} /> : idle(p)],
                ['Since', heal?.time === undefined ? undefined : <Ago time={heal.time} />],
                ['Steps taken', heal === undefined ? undefined : heal.tried],
                ['It says', heal?.message || undefined],
                ['Wanted now', heal?.requested === true ? 'somebody asked for the next step' : undefined],
              ]}
            />
            <List type="ordered" size="sm">
              {ladder.map(([step, text]) => (
                <List.Item key={step}>
                  <Group gap="xs" component="span" display="inline-flex">
                    <span className="mono">{step}</span>
                    {heal?.step === step && heal.state !== '' && (
                      <StateBadge state={heal.state} look={looks[heal.state]} />
                    )}
                  </Group>
                  <Text size="xs" c="dimmed">
                    {text}
                  </Text>
                </List.Item>
              ))}
            </List>
          </Stack>
        );
      }}
    </Panel>
  );
}

function idle(p: Peering): string {
  return hangs(p) ? 'nothing was done yet' : 'no stream hangs: there is nothing to do';
}
