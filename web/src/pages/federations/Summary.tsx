import type { UseQueryResult } from '@tanstack/react-query';
import type { Federation } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { Facts } from '../../kit/Facts';
import { Labels } from '../../kit/Labels';
import { DatacenterLink } from '../../kit/links';
import { Panel } from '../../kit/Panel';
import { modeOf } from './state';

/** What a federation is declared to be, and how much of that it is. */
export function Summary({ query }: { query: UseQueryResult<Federation> }) {
  return (
    <Panel title="As declared" query={query}>
      {({ spec, status, labels, createTime }) => (
        <Facts
          facts={[
            ['Primary', <DatacenterLink name={spec?.primary ?? ''} />],
            ['Secondaries joined', `${status?.joined ?? 0} of ${status?.secondaries ?? 0}`],
            ['Chosen by', spec?.secondarySelector ? <span className="mono">{spec.secondarySelector}</span> : 'name'],
            ['Servers meet', modeOf({ spec })],
            ['Services go through', spec?.meshGatewayMode ? `${spec.meshGatewayMode} gateways` : undefined],
            [
              "Key of the primary's CA",
              spec?.keyless === true ? 'stays in the primary, which signs' : 'is handed to the secondaries, sealed',
            ],
            ['Labels', Object.keys(labels).length === 0 ? undefined : <Labels labels={labels} />],
            ['Declared', <Ago time={createTime} />],
          ]}
        />
      )}
    </Panel>
  );
}
