import { Alert } from '@mantine/core';
import { IconAlertTriangle, IconInfoCircle } from '@tabler/icons-react';
import type { ReactNode } from 'react';

interface Props {
  title: string;
  children?: ReactNode;
  /** Something can go wrong here; otherwise it is only good to know. */
  warning?: boolean;
}

/** Something to know before going on. */
export function Notice({ title, children, warning = false }: Props) {
  const Icon = warning ? IconAlertTriangle : IconInfoCircle;
  return (
    <Alert color={warning ? 'orange' : 'blue'} variant="outline" title={title} icon={<Icon aria-hidden />}>
      {children}
    </Alert>
  );
}
