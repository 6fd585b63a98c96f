import type { UseQueryResult } from '@tanstack/react-query';
import type { Datacenter, DatacenterState } from '../../api/types';
import { Ago } from '../../kit/Ago';
import { Copyable } from '../../kit/Copy';
import { Expiry } from '../../kit/Expiry';
import { Facts } from '../../kit/Facts';
import { Labels } from '../../kit/Labels';
import { ResourceLink } from '../../kit/links';
import { Panel } from '../../kit/Panel';
import { StateBadge } from '../../kit/StateBadge';
import { verdictLook } from '../../kit/verdict';
import { statusLastSeen } from './silence';

/** ms; doctor warns of the same ends as early. */
const day = 86_400_000;

/** What its leading agent knows of its Consul. */
export function ConsulFacts({ datacenter, state }: Props) {
  return (
    <Panel title="Consul" query={datacenter} lastSeen={(d) => statusLastSeen(d, state)}>
      {({ spec, status, labels }) => (
        <Facts
          facts={[
            ['Runtime', spec?.runtime ?? ''],
            ['Consul version', status?.consulVersion ?? ''],
            ['Name in Consul', spec?.consulDatacenter ?? ''],
            ['Admin partition', spec?.consulPartition ?? ''],
            ['Servers', status?.servers ?? 0],
            ['Leader', status?.leader === '' ? <Off word="none" /> : status?.leader],
            ['ACLs', <OnOff key="acl" on={status?.aclEnabled} />],
            ['Default of ACLs', status?.defaultPolicy ?? ''],
            ['Call without an intention', status?.defaultIntentionPolicy ?? ''],
            ['TLS between servers', <OnOff key="tls" on={status?.tlsEnabled} />],
            ['Gossip encrypted', <OnOff key="gossip" on={status?.gossipEncrypted} />],
            ['Service mesh', <OnOff key="connect" on={status?.connectEnabled} />],
            ['Cluster peering', <OnOff key="peering" on={status?.peeringEnabled} />],
            ['WAN members', status?.wanMembers ?? 0],
            ['Services', status?.services ?? 0],
            [
              'Federation',
              status?.federation === undefined || status.federation === '' ? (
                ''
              ) : (
                <ResourceLink kind="Federation" name={status.federation} />
              ),
            ],
            ['Mesh CA ends', <Expiry key="ca" time={status?.caExpireTime} within={30 * day} />],
            [
              "Servers' certificate ends",
              <Expiry key="tls-end" time={state?.certificateExpireTime} within={7 * day} />,
            ],
            ['Names in that certificate', state?.certificateNames.join(', ')],
            ['ACL replication', <Replication key="replication" datacenter={datacenter.data} />],
            ['Trust domain', status?.trustDomain ? <Copyable text={status.trustDomain} what="the trust domain" /> : ''],
            ['Peerings that isthmus did not make', foreign(status?.foreignPeerings ?? [])],
            ['When somebody changes what isthmus wrote', spec?.drift === 'report' ? 'only shown' : 'put back'],
            ['Labels', <Labels key="labels" labels={labels} />],
          ]}
        />
      )}
    </Panel>
  );
}

interface Props {
  datacenter: UseQueryResult<Datacenter>;
  state: DatacenterState | undefined;
}

function OnOff({ on }: { on: boolean | undefined }) {
  if (on === undefined) return <StateBadge state="unknown" />;
  return on ? <StateBadge state="on" look={verdictLook('healthy')} /> : <Off word="off" />;
}

function Off({ word }: { word: string }) {
  return <StateBadge state={word} look={verdictLook('stale')} />;
}

function Replication({ datacenter }: { datacenter: Datacenter | undefined }) {
  const acl = datacenter?.status?.aclReplication;
  if (acl?.enabled !== true) return <>not used</>;
  if (acl.healthy === true)
    return <StateBadge state={`up to date with ${acl.sourceDatacenter}`} look={verdictLook('healthy')} />;
  return (
    <>
      <StateBadge state={acl.running === true ? 'behind' : 'not running'} look={verdictLook('failing')} /> as the
      primary was <Ago time={acl.lastSuccessTime} none="never" />
      {acl.error !== '' && `: ${acl.error}`}
    </>
  );
}

function foreign(peerings: readonly { peerName: string; origin: string; state: string }[]): string {
  return peerings.map((p) => `${p.peerName} (${p.origin}, ${p.state})`).join(', ');
}
