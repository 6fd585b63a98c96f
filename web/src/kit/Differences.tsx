import { Table, Text } from '@mantine/core';
import type { FieldChange } from '../api/types';

/** What changes field by field: before and after side by side, with words and signs, not colours alone. */
export function Differences({ changes, before = 'Before', after = 'After' }: Props) {
  if (changes.length === 0) return null;
  return (
    <Table.ScrollContainer minWidth={420} type="native" tabIndex={0}>
      <Table withRowBorders verticalSpacing={4}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Field</Table.Th>
            <Table.Th>{before}</Table.Th>
            <Table.Th>{after}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {changes.map((c) => (
            <Table.Tr key={c.field}>
              <Table.Td className="mono">{c.field}</Table.Td>
              <Table.Td>
                <Value sign="−" text={c.before} />
              </Table.Td>
              <Table.Td>
                <Value sign="+" text={c.after} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

interface Props {
  changes: readonly FieldChange[];
  before?: string;
  after?: string;
}

function Value({ sign, text }: { sign: string; text: string }) {
  if (text === '')
    return (
      <Text c="dimmed" size="sm" component="span">
        –
      </Text>
    );
  return (
    <span className="mono">
      {sign} {pretty(text)}
    </span>
  );
}

/** A JSON string without its quotes; anything else as it is. */
function pretty(json: string): string {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : json;
  } catch {
    return json;
  }
}
