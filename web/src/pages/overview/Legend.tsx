import classes from './graph.module.css';
import type { FleetMap } from './map';
import { runtimeOf } from './map';

const shape = { fill: 'none', stroke: 'currentColor', strokeWidth: 1.5 };

/** What shapes and lines of the map mean: those that it has. */
export function Legend({ map }: { map: FleetMap }) {
  const runtimes = new Set(map.nodes.map(runtimeOf));
  const kinds = new Set(map.links.map((l) => l.kind));
  const broken = new Set(map.links.map((l) => (l.broken === 'both' || l.broken === '' ? l.broken : 'one')));
  return (
    <ul className={classes.legend} aria-label="Legend">
      {runtimes.has('kubernetes') && (
        <li>
          <Sign>
            <circle cx="8" cy="8" r="6" {...shape} />
          </Sign>
          Kubernetes
        </li>
      )}
      {runtimes.has('vm') && (
        <li>
          <Sign>
            <rect x="2.5" y="2.5" width="11" height="11" {...shape} />
          </Sign>
          VMs
        </li>
      )}
      {runtimes.has('external') && (
        <li>
          <Sign>
            <path d="M8 1 15 8 8 15 1 8z" {...shape} />
          </Sign>
          external cluster
        </li>
      )}
      {kinds.has('peering') && (
        <li>
          <Sign>
            <path d="M0 8h16" {...shape} />
          </Sign>
          peering
        </li>
      )}
      {kinds.has('federation') && (
        <li>
          <Sign>
            <path d="M0 8h16" strokeDasharray="4 3" {...shape} />
          </Sign>
          WAN federation
        </li>
      )}
      {broken.has('one') && (
        <li>
          <Sign>
            <path d="M2 4v8l8-4z" fill="currentColor" />
            <path d="M12 3v10" {...shape} />
          </Sign>
          nothing arrives in this direction
        </li>
      )}
      {broken.has('both') && (
        <li>
          <Sign>
            <path d="M3 3l10 10M13 3 3 13" {...shape} />
          </Sign>
          nothing arrives either way
        </li>
      )}
      <li>Click the map, and the wheel zooms.</li>
    </ul>
  );
}

function Sign({ children }: { children: React.ReactNode }) {
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden>
      {children}
    </svg>
  );
}
