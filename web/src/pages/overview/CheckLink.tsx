import { Anchor } from '@mantine/core';
import { Link } from 'react-router';

/** The way to the doctor's checks of a datacenter. */
export function CheckLink({ datacenter }: { datacenter: string }) {
  return (
    <Anchor component={Link} to={`/doctor?dc=${encodeURIComponent(datacenter)}`} size="sm" underline="hover">
      Check {datacenter}
    </Anchor>
  );
}
