import { Alert, List, Text } from '@mantine/core';
import { IconAlertCircle } from '@tabler/icons-react';
import { ApiError } from '../api/error';

/** What the API said: the message, and each field that is wrong. */
export function ErrorNote({ error, title }: { error: unknown; title?: string }) {
  const violations = error instanceof ApiError ? error.violations : [];
  const request = error instanceof ApiError ? error.requestId : '';
  const retryAfter = error instanceof ApiError ? error.retryAfter : 0;
  const message = error instanceof Error ? error.message : String(error);
  return (
    <Alert color="red" variant="outline" role="alert" icon={<IconAlertCircle aria-hidden />} title={title}>
      <Text size="sm">{message}</Text>
      {retryAfter > 0 && <Text size="sm">Try again in {retryAfter} s.</Text>}
      {violations.length > 0 && (
        <List size="sm" mt="xs">
          {violations.map((v) => (
            <List.Item key={`${v.field} ${v.message}`}>
              <span className="mono">{v.field}</span>: {v.message}
            </List.Item>
          ))}
        </List>
      )}
      {request !== '' && (
        <Text size="xs" c="dimmed" mt="xs">
          Request <span className="mono">{request}</span>
        </Text>
      )}
    </Alert>
  );
}
