package policy

import (
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// checkTraffic finds what stands against a TrafficPolicy in the fleet as it is wanted.
func checkTraffic(_ resource.Reader, _ *isthmusv1.TrafficPolicy) []fault.Violation { return nil }

// checkTrafficExport finds the TrafficPolicies beside which Consul would refuse an export.
func checkTrafficExport(_ resource.Reader, _ *isthmusv1.ServiceExport) []fault.Violation { return nil }

// checkTrafficFederation finds the TrafficPolicies that a federation would make mean something else.
func checkTrafficFederation(_ resource.Reader, _ *isthmusv1.Federation) []fault.Violation { return nil }
