import type { Agent } from '../api/types';
import { Ago } from './Ago';
import { StateBadge } from './StateBadge';
import { livenessLook } from './verdict';

/** Whether an agent is heard of, and since when that is so. */
export function Liveness({ status }: { status: Agent['status'] }) {
  const liveness = status?.liveness ?? 'unknown';
  return (
    <>
      <StateBadge state={liveness} look={livenessLook(liveness)} />
      {status?.livenessSince !== undefined && (
        <>
          {' since '}
          <Ago time={status.livenessSince} />
        </>
      )}
    </>
  );
}
