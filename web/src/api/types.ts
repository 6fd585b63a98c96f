// The types of the REST API as its answers really are. The OpenAPI document says of every field that it may be missing, because
// requests may leave it out; answers leave out only messages, times and booleans that are not set.

import type * as schema from './schema.gen';

type TimeField = `${string}Time` | `${string}Since` | 'since' | 'time' | 'start' | 'end';

type Field<K, V> = V extends string
  ? K extends TimeField
    ? V | undefined
    : V
  : V extends number
    ? V
    : V extends readonly (infer U)[]
      ? Answer<U>[]
      : V extends object
        ? string extends keyof V
          ? V
          : Answer<V> | undefined
        : V | undefined;

/** What the server sends for a type of the OpenAPI document: scalars and lists are always there. */
export type Answer<T> = T extends object ? { [K in keyof Required<T>]: Field<K, NonNullable<T[K]>> } : T;

export type Fleet = Answer<schema.Fleet>;
export type FleetDatacenter = Answer<schema.FleetDatacenter>;
export type FleetLink = Answer<schema.FleetLink>;
export type FleetService = Answer<schema.FleetService>;
export type ServicePlace = Answer<schema.ServicePlace>;
export type DatacenterState = Answer<schema.DatacenterState>;
export type ItemState = Answer<schema.ItemState>;
export type History = Answer<schema.History>;
export type HistorySpan = Answer<schema.HistorySpan>;
export type Trend = Answer<schema.Trend>;
export type TrendPoint = Answer<schema.TrendPoint>;
export type Session = Answer<schema.Session>;

export type Agent = Answer<schema.Agent>;
export type APIToken = Answer<schema.ApiToken>;
export type CatalogService = Answer<schema.CatalogService>;
export type Condition = Answer<schema.Condition>;
export type Connection = Answer<schema.Connection>;
export type Datacenter = Answer<schema.Datacenter>;
export type DoctorCheck = Answer<schema.DoctorCheck>;
export type DoctorReport = Answer<schema.DoctorReport>;
export type Event = Answer<schema.Event>;
export type Evidence = Answer<schema.Evidence>;
export type Explanation = Answer<schema.Explanation>;
export type Federation = Answer<schema.Federation>;
export type FederationMember = Answer<schema.FederationMember>;
export type FederationPlan = Answer<schema.FederationPlan>;
export type FieldChange = Answer<schema.FieldChange>;
export type Change = Answer<schema.Change>;
export type ApplyResponse = Answer<schema.ApplyResponse>;
export type Gateway = Answer<schema.Gateway>;
export type Intention = Answer<schema.Intention>;
export type JoinToken = Answer<schema.JoinToken>;
export type MergedMember = Answer<schema.MergedMember>;
export type Peering = Answer<schema.Peering>;
export type PeeringEnd = Answer<schema.PeeringEnd>;
export type PeeringGroup = Answer<schema.PeeringGroup>;
export type ReachedGateway = Answer<schema.ReachedGateway>;
export type ServiceExport = Answer<schema.ServiceExport>;
export type TokenEntry = Answer<schema.TokenEntry>;
export type TrafficPolicy = Answer<schema.TrafficPolicy>;

/** Each kind of resource that lists and single reads exist of. */
export interface Kinds {
  Agent: Agent;
  APIToken: APIToken;
  Datacenter: Datacenter;
  Federation: Federation;
  Gateway: Gateway;
  Intention: Intention;
  JoinToken: JoinToken;
  Peering: Peering;
  PeeringGroup: PeeringGroup;
  ServiceExport: ServiceExport;
  TrafficPolicy: TrafficPolicy;
}

export type Kind = keyof Kinds;
