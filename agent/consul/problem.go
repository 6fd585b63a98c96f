package consul

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

// Reason tells why Consul did not do what it was asked, as one CamelCase word that is fit for a report.
type Reason string

// The reasons.
const (
	// Unreachable: nothing answers at the address, or not in time.
	Unreachable Reason = "ConsulUnreachable"
	// Untrusted: what answers has a certificate that is not trusted.
	Untrusted Reason = "ConsulCertificateUntrusted"
	// NoLeader: the servers have no leader now, or the call did not reach it.
	NoLeader Reason = "NoLeader"
	// RuleMissing: the ACL token lacks a rule; Problem.Rule names it.
	RuleMissing Reason = "AclRuleMissing"
	// ACLUnknown: the ACL token is not known to Consul.
	ACLUnknown Reason = "AclTokenUnknown"
	// TokenRefused: the peering token was used before, or a newer one was made.
	TokenRefused Reason = "TokenRefused"
	// TokenMalformed: it is no peering token.
	TokenMalformed Reason = "TokenMalformed"
	// NameTaken: a peering of that name has the other role. Roles are fixed per name.
	NameTaken Reason = "NameTaken"
	// SameCluster: the token was made by this very cluster.
	SameCluster Reason = "SameCluster"
	// PeerUnreachable: no address in the token answers.
	PeerUnreachable Reason = "PeerUnreachable"
	// PeeringDisabled: peering, Connect or TLS for gRPC is off in Consul's configuration.
	PeeringDisabled Reason = "PeeringDisabled"
	// NoGateway: peering goes through mesh gateways, and none is registered.
	NoGateway Reason = "NoMeshGateway"
	// Starting: Consul is not ready yet.
	Starting Reason = "ConsulStarting"
	// UnknownKind: this Consul has no config entries of that kind.
	UnknownKind Reason = "UnknownKind"
	// Strange: the call, or the answer, is not what one to Consul can be: see guard.
	Strange Reason = "StrangePath"
	// Other: anything else; the text tells.
	Other Reason = "ConsulError"
)

// Problem is what Consul said, and what that means. It is the cause inside of the *fault.Error that calls return.
type Problem struct {
	Reason Reason
	// Rule is the ACL rule that is missing, as it would stand in a policy: peering = "write".
	Rule string
	// Text is Consul's own.
	Text string
	// wrongServer: another server may do better.
	wrongServer bool
	// status is the answer's in HTTP; 0: there was none.
	status int
}

// Error is Consul's text.
func (p *Problem) Error() string { return p.Text }

// ReasonOf is the reason inside of an error, and "" for nil. An error that did not come from Consul is Other.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.Reason
	}
	return Other
}

// texts maps what Consul writes to what it means. Peering errors come as HTTP 500 or 403 whatever they are about, so that
// only their text tells. The first match counts.
func texts() []struct {
	text   string
	reason Reason
} {
	return []struct {
		text   string
		reason Reason
	}{
		{"a new peering token must be generated", TokenRefused},
		{"invalid peering establishment secret", TokenRefused},
		{"cannot create a peering within the same cluster", SameCluster},
		{"there is an existing peering expecting to be dialed", NameTaken},
		{"there is already an established peering", NameTaken},
		{"failed to decode token", TokenMalformed},
		{"peering token CA value is invalid", TokenMalformed},
		{"peering token invalid CA", TokenMalformed},
		{"peering token server addresses value is empty", TokenMalformed},
		{"peering token server name value is empty", TokenMalformed},
		{"peering token peer ID value is empty", TokenMalformed},
		{"is not a valid peering server address", TokenMalformed},
		{"failed to exchange peering secret", PeerUnreachable},
		{"failed to dial peer", PeerUnreachable},
		{"peering must be enabled", PeeringDisabled},
		{"connect.enabled must be set", PeeringDisabled},
		{"TLS for gRPC must be enabled", PeeringDisabled},
		{"a grpc bind port must be specified", PeeringDisabled},
		{"no mesh gateway instances are registered", NoGateway},
		{"invalid config entry kind", UnknownKind},
		{"CA has not finished initializing", Starting},
		{"CA is uninitialized", Starting},
		{"Connect CA", Starting},
		{"ACL not found", ACLUnknown},
		{"No cluster leader", NoLeader},
		{"not the leader", NoLeader},
		{"leadership lost", NoLeader},
		{"rpc error: code = Unavailable", NoLeader},
		{"error while dialing", NoLeader},
		{"rpc error making call", NoLeader},
	}
}

// lacks finds the missing permission in: Permission denied: token with AccessorID '…' lacks permission 'peering:write' on "x".
var lacks = regexp.MustCompile(`lacks permission '([a-z_-]+):([a-z]+)'(?: on "([^"]*)")?`)

// rule writes a permission as it would stand in a policy. Consul names some resources otherwise in errors than in rules, and
// complains of reading first where isthmus has to write as well.
func rule(resource, level, name string) string {
	switch resource {
	case "peering", "mesh":
		return resource + ` = "write"`
	case "agent", "node", "service", "session", "event", "query":
		return resource + `_prefix "" { policy = "` + level + `" }`
	case "key":
		return `key "` + name + `" { policy = "` + level + `" }`
	case "intention":
		if level == "read" {
			return `service_prefix "" { policy = "read" }` // which includes it
		}
		return `service_prefix "" { policy = "read" intentions = "` + level + `" }`
	}
	return resource + ` = "` + level + `"`
}

// missing is the problem of an ACL token that lacks a rule.
func missing(rule, text string) *Problem {
	return &Problem{Reason: RuleMissing, Rule: rule, Text: text}
}

// partial is for a list of which Consul left out what the token may not see, where all of it counts.
func partial(doing string) error {
	return fault.Wrap(fault.Denied, missing("", "results filtered by ACLs"),
		"%s: the Consul token may not see all of it (isthmus agent policy says which rules it needs)", doing)
}

// primaryDown is whom a secondary takes a caller for whose token it does not know, while it cannot ask the primary.
const primaryDown = "'primary-dc-down'"

// explain turns an error of consul/api into ours; doing says what was being done.
func explain(err error, doing string) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*fault.Error](err); ok {
		if _, ours := errors.AsType[*Problem](known); ours {
			return known // no call was made
		}
	}
	p := classify(err)
	message := doing + ": "
	code := fault.Unavailable
	switch p.Reason {
	case RuleMissing:
		code, message = fault.Denied, message+"the agent's Consul token lacks the rule "+p.Rule
	case ACLUnknown:
		code, message = fault.Denied, message+"Consul does not know the agent's ACL token"
	case Unreachable:
		message += "Consul does not answer"
	case Untrusted:
		message += "Consul's certificate is not trusted; CONSUL_CACERT names the CA that is"
	case NoLeader:
		message += "Consul has no leader, or the call did not reach it"
	case TokenRefused, TokenMalformed, NameTaken, SameCluster, PeeringDisabled, NoGateway, UnknownKind, Strange:
		code, message = fault.Refused, message+p.Text
	case PeerUnreachable, Starting, Other, NoPath, RemoteUnreachable, RemoteCertificate:
		message += p.Text
	}
	return fault.Wrap(code, p, "%s", message)
}

func classify(err error) *Problem {
	if p, known := errors.AsType[*Problem](err); known {
		return p
	}
	var status api.StatusError
	if !errors.As(err, &status) {
		return &Problem{Reason: transportReason(err), Text: err.Error(), wrongServer: true}
	}
	// It may come from a proxy before Consul, in any encoding, and goes into messages that take only one.
	text := strings.ToValidUTF8(status.Body, "\uFFFD")
	p := &Problem{Reason: Other, Text: text, wrongServer: status.Code >= http.StatusInternalServerError, status: status.Code}
	if strings.Contains(status.Body, primaryDown) {
		p.Reason = ACLUnknown
		return p
	}
	if m := lacks.FindStringSubmatch(status.Body); m != nil {
		p.Reason, p.Rule = RuleMissing, rule(m[1], m[2], m[3])
		return p
	}
	for _, t := range texts() {
		if strings.Contains(status.Body, t.text) {
			p.Reason = t.reason
			break
		}
	}
	switch {
	case p.Reason == Other && status.Code == http.StatusForbidden:
		p.Reason, p.Rule = RuleMissing, "(Consul does not say which)"
	case p.Reason != NoLeader && p.Reason != Other && p.Reason != Starting:
		p.wrongServer = false // a clear answer is the same everywhere
	}
	return p
}

func transportReason(err error) Reason {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return Untrusted
	case errors.Is(err, context.Canceled):
		return Other
	}
	return Unreachable
}
