import { PageLink } from '../../kit/links';

/** The way to the doctor's checks of a datacenter. */
export function CheckLink({ datacenter }: { datacenter: string }) {
  return <PageLink to={`/doctor?dc=${encodeURIComponent(datacenter)}`}>Check {datacenter}</PageLink>;
}
