package resource

// Words that the server says beside the resources themselves, for whoever reads its answers.

// IndexHeader of an answer tells at which index it was true.
const IndexHeader = "x-isthmus-index"

// Types of the items of a desired state, and the feature that an agent must have to be given one: they are the same words.
const (
	ItemPeeringAcceptor  = "peering-acceptor"
	ItemPeeringDialer    = "peering-dialer"
	ItemExportedServices = "exported-services"
	ItemMesh             = "mesh"
	ItemProxyDefaults    = "proxy-defaults"
	// ItemFederationPrimary and ItemFederationSecondary are a member's part in a federation; ItemProbes what it proves.
	ItemFederationPrimary   = "federation-primary"
	ItemFederationSecondary = "federation-secondary"
	ItemProbes              = "probes"
	// ItemConfigEntries is what policies come to.
	ItemConfigEntries = "config-entries"
	// ItemGatewayRoutes is all that a gateway is given.
	ItemGatewayRoutes = "gateway-routes"
)

// What apply does to a resource, or would do; the first three are actions in the audit log too.
const (
	ActionCreate    = "create"
	ActionUpdate    = "update"
	ActionDelete    = "delete"
	ActionUnchanged = "unchanged"
)

// Further actions in the audit log.
const (
	// ActionEnrol, ActionRenew, ActionRefuse: an agent came, got its next certificate, or was turned away.
	ActionEnrol  = "enrol"
	ActionRenew  = "renew"
	ActionRefuse = "refuse"
	// ActionLogin, ActionLogout: somebody began a session of the dashboard with an API token, and ended it. One that was
	// turned away is an ActionRefuse, too.
	ActionLogin  = "login"
	ActionLogout = "logout"
	// ActionProfile: an admin took a profile of the server.
	ActionProfile = "profile"
	// ActionApprove: an operator trusts an agent.
	ActionApprove = "approve"
	// ActionConfirm: an operator lets removals go on after a restore.
	ActionConfirm = "confirm"
	// ActionRotate: a new peering token is wanted. ActionClaim, ActionMint: an agent is about to make it, and made it.
	ActionRotate = "rotate"
	ActionClaim  = "claim"
	ActionMint   = "mint"
	// ActionHeal: a step of healing a stream that hangs is wanted, was taken, or helped or not.
	ActionHeal = "heal"
	// ActionImport: an operator brought in another operator's peering token.
	ActionImport = "import"
	// ActionBundle: an agent made a federation's bundle, or an operator asks for one.
	ActionBundle = "bundle"
	// ActionReadSecret: an agent fetched a sealed token or bundle, or an operator a bundle.
	ActionReadSecret = "read-secret"
	// ActionRemove: an operator takes a datacenter out of the fleet.
	ActionRemove = "remove"
	// ActionTransition: what a resource is changed by itself: a verdict, a liveness, an expiry.
	ActionTransition = "transition"
	// ActionDrift: somebody changed isthmus's part of a config entry. ActionConflict: what is wanted stands there otherwise, as somebody else's.
	ActionDrift    = "drift"
	ActionConflict = "conflict"
)
