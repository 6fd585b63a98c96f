package gateway

import (
	"errors"
	"fmt"

	"isthmus/fault"
)

// Reason says why a connection was refused or cut: a label of metrics and a field of logs.
type Reason string

// The reasons. There are no others, so that they can be a label.
const (
	// ReasonNotTLS: the first bytes are no TLS handshake, for example plain HTTP.
	ReasonNotTLS Reason = "not-tls"
	// ReasonMalformed: it begins as TLS, and breaks its rules.
	ReasonMalformed Reason = "malformed"
	// ReasonTooLarge: the ClientHello is larger than a gateway reads.
	ReasonTooLarge Reason = "too-large"
	// ReasonNoServerName: the client does not say whom it wants (SNI).
	ReasonNoServerName Reason = "no-server-name"
	// ReasonHelloTimeout: the ClientHello was not there in time.
	ReasonHelloTimeout Reason = "hello-timeout"
	// ReasonHelloEnded: the client went away in the middle of its ClientHello.
	ReasonHelloEnded Reason = "hello-ended"
	// ReasonProbe: the client went away without a word, as health checks do. It is not counted as an error.
	ReasonProbe Reason = "probe"
	// ReasonNoRoute: no route has that name.
	ReasonNoRoute Reason = "no-route"
	// ReasonUnreachable: none of the route's addresses can be connected to.
	ReasonUnreachable Reason = "unreachable"
	// ReasonConnectionLimit: as many connections are open as may be.
	ReasonConnectionLimit Reason = "connection-limit"
	// ReasonRateLimit: the source opens connections faster than it may.
	ReasonRateLimit Reason = "rate-limit"
	// ReasonAccept: the system did not give us the connection, most often for want of descriptors.
	ReasonAccept Reason = "accept"
	// ReasonIdle: nothing moved for too long.
	ReasonIdle Reason = "idle"
	// ReasonClient: the client's side broke.
	ReasonClient Reason = "client"
	// ReasonUpstream: the side that the route leads to broke.
	ReasonUpstream Reason = "upstream"
	// ReasonDrained: it outlived the gateway's end.
	ReasonDrained Reason = "drained"
)

// refuse is a fault with a reason, which ReasonOf finds.
func refuse(reason Reason, cause error, format string, args ...any) *fault.Error {
	message := fmt.Sprintf(format, args...)
	return &fault.Error{
		Code: reason.code(), Message: message, Cause: cause,
		Violations: []fault.Violation{{Field: "connection", Reason: string(reason), Message: message}},
	}
}

func (r Reason) code() fault.Code {
	switch r {
	case ReasonHelloTimeout, ReasonIdle:
		return fault.Timeout
	case ReasonTooLarge:
		return fault.TooLarge
	case ReasonNoRoute:
		return fault.NotFound
	case ReasonConnectionLimit, ReasonRateLimit:
		return fault.Busy
	case ReasonUnreachable, ReasonAccept, ReasonUpstream:
		return fault.Unavailable
	case ReasonClient, ReasonHelloEnded, ReasonProbe, ReasonDrained:
		return fault.Canceled
	default:
		return fault.Invalid
	}
}

// ReasonOf is the reason inside an error of this package, "" in others.
func ReasonOf(err error) Reason {
	if f, ok := errors.AsType[*fault.Error](err); ok && len(f.Violations) == 1 && f.Violations[0].Field == "connection" {
		return Reason(f.Violations[0].Reason)
	}
	return ""
}

// alert is what TLS calls the reason, so that the client can say more than "connection closed". Zero: there is no word for it, or
// nobody who would understand it.
func (r Reason) alert() byte {
	switch r {
	case ReasonMalformed, ReasonTooLarge:
		return 50 // decode_error
	case ReasonNoServerName:
		return 109 // missing_extension
	case ReasonNoRoute:
		return 112 // unrecognized_name
	case ReasonUnreachable:
		return 80 // internal_error
	default:
		return 0
	}
}

// alertRecord is a fatal alert in a record of its own. Before a version is agreed on, records are of version 3.1.
func alertRecord(description byte) []byte {
	return []byte{21, 3, 1, 0, 2, 2, description}
}
