import { Button, Group } from '@mantine/core';
import { Notice } from './Notice';

/** Says to whoever edits something that it is no longer what the edit began from, and lets choose. */
export function Conflict({ onTheirs, onMine }: { onTheirs: () => void; onMine: () => void }) {
  return (
    <div role="alert">
      <Notice title="Somebody else changed it meanwhile" warning>
        What you typed is still here, and is not what they made of it: applied as it is, it takes their change back.
        <Group mt="sm" gap="xs">
          <Button variant="default" size="xs" onClick={onTheirs}>
            Begin from theirs
          </Button>
          <Button variant="default" size="xs" onClick={onMine}>
            Keep mine
          </Button>
        </Group>
      </Notice>
    </div>
  );
}
