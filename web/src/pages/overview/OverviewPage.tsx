import { Code } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useCallback, useMemo, useRef, useState } from 'react';
import { fleet } from '../../api/queries';
import type { Fleet } from '../../api/types';
import { Empty } from '../../kit/Empty';
import { PageLink } from '../../kit/links';
import { Page } from '../../kit/Page';
import { Panel } from '../../kit/Panel';
import { useSession } from '../../shell/context';
import { useScope } from '../../shell/scope';
import { Attention } from './Attention';
import { type Choose, useChoice } from './choice';
import { Counts } from './Counts';
import classes from './graph.module.css';
import { FilterBar } from './FilterBar';
import { FleetGraph, type Shown } from './FleetGraph';
import { FleetTables } from './FleetTables';
import { LastEvents } from './LastEvents';
import { TrendPanel } from './trend/TrendPanel';
import { labelKeys, mapOf, matching, usualGrouping } from './map';

const none: Fleet = { datacenters: [], links: [], time: undefined };

/** The whole fleet: how many, what is wrong, how all is connected, what happened. */
export default function OverviewPage() {
  const query = useQuery(fleet());
  const { datacenter } = useScope();
  const [choice, setChoice] = useChoice();
  const choose: Choose = useCallback((next) => void setChoice(next), [setChoice]);
  const [show, setShow] = useState<Shown>();
  const graph = useRef<HTMLDivElement>(null);

  const data = query.data ?? none;
  const map = useMemo(() => mapOf(data, datacenter), [data, datacenter]);
  const { text, health, runtime, label, kind, verdict } = choice;
  const match = useMemo(
    () => matching(map, { text, health, runtime, label, kind, verdict }),
    [map, text, health, runtime, label, kind, verdict],
  );
  const by = useMemo(() => choice.by || usualGrouping(labelKeys(data)), [choice.by, data]);

  const onShow = useCallback(
    (id: string) => {
      choose({ at: id });
      setShow({ id });
      graph.current?.scrollIntoView({ block: 'nearest' });
      graph.current?.querySelector<HTMLElement>('[tabindex]')?.focus({ preventScroll: true });
    },
    [choose],
  );

  return (
    <Page title="Overview">
      <Panel title="Fleet" query={query}>
        {() => (data.datacenters.length === 0 ? <NoFleet /> : <Counts map={map} choice={choice} choose={choose} />)}
      </Panel>
      {data.datacenters.length > 0 && (
        <div className={classes.columns}>
          <div>
            <Panel title="Needs attention" query={query}>
              {() => <Attention map={map} onShow={onShow} />}
            </Panel>
            <div className={classes.last}>
              <LastEvents />
            </div>
          </div>
          <div>
            <div ref={graph}>
              <Panel title="Map" query={query}>
                {() => (
                  <>
                    <FilterBar fleet={data} choice={choice} choose={choose} />
                    <FleetGraph {...{ map, match, by, choice, choose, show }} scope={datacenter} />
                  </>
                )}
              </Panel>
            </div>
            {/* Only the whole fleet is counted. */}
            {datacenter === '' && <TrendPanel />}
            <Panel title="The map as tables" query={query}>
              {() => <FleetTables match={match} onShow={onShow} />}
            </Panel>
          </div>
        </div>
      )}
    </Page>
  );
}

function NoFleet() {
  const { mayOperate } = useSession();
  return (
    <Empty title="No datacenters yet">
      A datacenter is declared first, then an agent beside its Consul joins with a join token.{' '}
      {mayOperate ? (
        <>
          Make one under{' '}
          <PageLink to="/access?tab=join-tokens" underlined>
            Access
          </PageLink>
          , or with <Code>isthmus join-token create</Code>.
        </>
      ) : (
        'An operator makes one.'
      )}
    </Empty>
  );
}
