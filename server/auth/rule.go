package auth

import (
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Role is what a caller may do.
type Role string

// The roles. They are fixed.
const (
	// Admin manages API tokens, and does everything that an operator does.
	Admin Role = "admin"
	// Operator declares what the fleet shall be.
	Operator Role = "operator"
	// Viewer reads.
	Viewer Role = "viewer"
	// Agent is a datacenter's agent, known by its certificate.
	Agent Role = "agent"
	// Gateway is a mesh gateway, known by its certificate.
	Gateway Role = "gateway"
	// ExpiredAgent is an agent or gateway whose certificate has ended, within the renewal window.
	ExpiredAgent Role = "expired-agent"
	// Anonymous is whoever shows nothing.
	Anonymous Role = "anonymous"
)

// Roles are all of them, the most powerful first.
func Roles() []Role {
	return []Role{Admin, Operator, Viewer, Agent, Gateway, ExpiredAgent, Anonymous}
}

// Rule is who may call one RPC.
type Rule struct {
	// Method is the full gRPC name: /isthmus.v1.PeeringService/GetPeering.
	Method string
	// Roles that may call it. Anonymous here means everybody.
	Roles []Role
}

// Allows tells whether a role may call it.
func (r Rule) Allows(role Role) bool {
	return slices.Contains(r.Roles, role) || r.anonymous()
}

// Writes tells that a call changes something: what viewers may call does not, nor what admins only read.
func (r Rule) Writes() bool {
	_, method, _ := strings.Cut(strings.TrimPrefix(r.Method, "/"), "/")
	return !r.Allows(Viewer) && !strings.HasPrefix(method, "List") && !strings.HasPrefix(method, "Get")
}

func (r Rule) anonymous() bool { return slices.Contains(r.Roles, Anonymous) }

// Rules is the one table of every RPC. What is not in it, nobody may call; a test compares it with what is served.
func Rules() []Rule {
	return slices.Concat(fleetRules(), identityRules(), agentRules())
}

// readers are all people and programs; operators are those of them who declare something; admins alone see who may do what.
func readers() []Role   { return []Role{Admin, Operator, Viewer} }
func operators() []Role { return []Role{Admin, Operator} }
func admins() []Role    { return []Role{Admin} }
func everybody() []Role { return []Role{Anonymous} }

// fleetRules are for what the fleet shall be, and what it is.
func fleetRules() []Rule {
	return []Rule{
		{isthmusv1.ServerService_Apply_FullMethodName, operators()},
		{isthmusv1.ServerService_GetServer_FullMethodName, readers()},

		{isthmusv1.DatacenterService_ListDatacenters_FullMethodName, readers()},
		{isthmusv1.DatacenterService_GetDatacenter_FullMethodName, readers()},
		{isthmusv1.DatacenterService_ListDatacenterServices_FullMethodName, readers()},
		{isthmusv1.DatacenterService_CreateDatacenter_FullMethodName, operators()},
		{isthmusv1.DatacenterService_UpdateDatacenter_FullMethodName, operators()},
		{isthmusv1.DatacenterService_DeleteDatacenter_FullMethodName, operators()},
		{isthmusv1.DatacenterService_ConfirmDatacenter_FullMethodName, operators()},
		{isthmusv1.DatacenterService_RemoveDatacenter_FullMethodName, operators()},

		{isthmusv1.GatewayService_ListGateways_FullMethodName, readers()},
		{isthmusv1.GatewayService_GetGateway_FullMethodName, readers()},
		{isthmusv1.GatewayService_CreateGateway_FullMethodName, operators()},
		{isthmusv1.GatewayService_UpdateGateway_FullMethodName, operators()},
		{isthmusv1.GatewayService_DeleteGateway_FullMethodName, operators()},

		{isthmusv1.PeeringService_ListPeerings_FullMethodName, readers()},
		{isthmusv1.PeeringService_GetPeering_FullMethodName, readers()},
		{isthmusv1.PeeringService_CreatePeering_FullMethodName, operators()},
		{isthmusv1.PeeringService_UpdatePeering_FullMethodName, operators()},
		{isthmusv1.PeeringService_DeletePeering_FullMethodName, operators()},
		{isthmusv1.PeeringService_RotatePeering_FullMethodName, operators()},
		{isthmusv1.PeeringService_ImportPeering_FullMethodName, operators()},
		{isthmusv1.PeeringService_HealPeering_FullMethodName, operators()},

		{isthmusv1.PeeringGroupService_ListPeeringGroups_FullMethodName, readers()},
		{isthmusv1.PeeringGroupService_GetPeeringGroup_FullMethodName, readers()},
		{isthmusv1.PeeringGroupService_CreatePeeringGroup_FullMethodName, operators()},
		{isthmusv1.PeeringGroupService_UpdatePeeringGroup_FullMethodName, operators()},
		{isthmusv1.PeeringGroupService_DeletePeeringGroup_FullMethodName, operators()},

		{isthmusv1.FederationService_ListFederations_FullMethodName, readers()},
		{isthmusv1.FederationService_GetFederation_FullMethodName, readers()},
		{isthmusv1.FederationService_GetFederationPlan_FullMethodName, readers()},
		{isthmusv1.FederationService_ListMembers_FullMethodName, readers()},
		{isthmusv1.FederationService_GetReachability_FullMethodName, readers()},
		{isthmusv1.FederationService_CreateFederation_FullMethodName, operators()},
		{isthmusv1.FederationService_UpdateFederation_FullMethodName, operators()},
		{isthmusv1.FederationService_DeleteFederation_FullMethodName, operators()},
		// Whoever opens a bundle is an administrator of the primary's Consul.
		{isthmusv1.FederationService_RequestBundle_FullMethodName, admins()},

		{isthmusv1.ServiceExportService_ListServiceExports_FullMethodName, readers()},
		{isthmusv1.ServiceExportService_GetServiceExport_FullMethodName, readers()},
		{isthmusv1.ServiceExportService_CreateServiceExport_FullMethodName, operators()},
		{isthmusv1.ServiceExportService_UpdateServiceExport_FullMethodName, operators()},
		{isthmusv1.ServiceExportService_DeleteServiceExport_FullMethodName, operators()},

		{isthmusv1.IntentionService_ListIntentions_FullMethodName, readers()},
		{isthmusv1.IntentionService_GetIntention_FullMethodName, readers()},
		{isthmusv1.IntentionService_CreateIntention_FullMethodName, operators()},
		{isthmusv1.IntentionService_UpdateIntention_FullMethodName, operators()},
		{isthmusv1.IntentionService_DeleteIntention_FullMethodName, operators()},

		{isthmusv1.TrafficPolicyService_ListTrafficPolicies_FullMethodName, readers()},
		{isthmusv1.TrafficPolicyService_GetTrafficPolicy_FullMethodName, readers()},
		{isthmusv1.TrafficPolicyService_CreateTrafficPolicy_FullMethodName, operators()},
		{isthmusv1.TrafficPolicyService_UpdateTrafficPolicy_FullMethodName, operators()},
		{isthmusv1.TrafficPolicyService_DeleteTrafficPolicy_FullMethodName, operators()},

		{isthmusv1.DiagnosisService_ListConnections_FullMethodName, readers()},
		{isthmusv1.DiagnosisService_Explain_FullMethodName, readers()},
		{isthmusv1.DiagnosisService_RunDoctor_FullMethodName, readers()},

		{isthmusv1.OverviewService_GetFleet_FullMethodName, readers()},
		{isthmusv1.OverviewService_ListChanges_FullMethodName, readers()},
		{isthmusv1.OverviewService_ListServices_FullMethodName, readers()},
		{isthmusv1.OverviewService_GetDatacenterState_FullMethodName, readers()},
		{isthmusv1.OverviewService_GetHistory_FullMethodName, readers()},
		{isthmusv1.OverviewService_GetTrend_FullMethodName, readers()},
	}
}

// identityRules are for who may come in, and what was done.
func identityRules() []Rule {
	return []Rule{
		// The token in the request is what counts.
		{isthmusv1.SessionService_CreateSession_FullMethodName, everybody()},
		{isthmusv1.SessionService_GetSession_FullMethodName, readers()},
		{isthmusv1.SessionService_RenewSession_FullMethodName, readers()},
		{isthmusv1.SessionService_DeleteSession_FullMethodName, readers()},

		{isthmusv1.JoinTokenService_ListJoinTokens_FullMethodName, readers()},
		{isthmusv1.JoinTokenService_GetJoinToken_FullMethodName, readers()},
		{isthmusv1.JoinTokenService_CreateJoinToken_FullMethodName, operators()},
		{isthmusv1.JoinTokenService_DeleteJoinToken_FullMethodName, operators()},
		{isthmusv1.JoinTokenService_MintJoinToken_FullMethodName, operators()},

		{isthmusv1.AgentService_ListAgents_FullMethodName, readers()},
		{isthmusv1.AgentService_GetAgent_FullMethodName, readers()},
		{isthmusv1.AgentService_DeleteAgent_FullMethodName, operators()},
		{isthmusv1.AgentService_ApproveAgent_FullMethodName, operators()},

		// Who holds which token is itself worth knowing to an attacker: admins only, reads included.
		{isthmusv1.APITokenService_ListAPITokens_FullMethodName, admins()},
		{isthmusv1.APITokenService_GetAPIToken_FullMethodName, admins()},
		{isthmusv1.APITokenService_CreateAPIToken_FullMethodName, admins()},
		{isthmusv1.APITokenService_DeleteAPIToken_FullMethodName, admins()},

		{isthmusv1.EventService_ListEvents_FullMethodName, readers()},
		{isthmusv1.EventService_GetEvent_FullMethodName, readers()},
	}
}

// agentRules are for agents and gateways, and for what is the same for everybody.
func agentRules() []Rule {
	var (
		agents = []Role{Agent}
		// A gateway's word is worth what it says of itself, and it is told where to route: see agentapi.
		members  = []Role{Agent, Gateway}
		renewers = []Role{Agent, Gateway, ExpiredAgent}
	)
	return []Rule{
		{isthmusv1.SyncService_Enrol_FullMethodName, everybody()},
		{isthmusv1.SyncService_Renew_FullMethodName, renewers},
		{isthmusv1.SyncService_Pull_FullMethodName, members},
		{isthmusv1.SyncService_Follow_FullMethodName, members},
		{isthmusv1.SyncService_FetchSecrets_FullMethodName, agents},
		{isthmusv1.SyncService_ClaimToken_FullMethodName, agents},
		{isthmusv1.SyncService_StoreToken_FullMethodName, agents},
		{isthmusv1.SyncService_StoreBundle_FullMethodName, agents},
		{isthmusv1.SyncService_TakeTurn_FullMethodName, agents},
		{isthmusv1.SyncService_EndTurn_FullMethodName, agents},
		{isthmusv1.SyncService_Report_FullMethodName, members},

		// The shape of the API is public: it is the same in every copy of this program.
		{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", everybody()},
		{"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", everybody()},
		{"/grpc.health.v1.Health/Check", everybody()},
		{"/grpc.health.v1.Health/List", everybody()},
		{"/grpc.health.v1.Health/Watch", everybody()},
	}
}
