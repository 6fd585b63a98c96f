package federation

import (
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Plan is what a Federation, as it is or would be, means for each datacenter; deleting: what its deletion would mean.
func Plan(r resource.Reader, f *isthmusv1.Federation, e Evidence, deleting bool) *isthmusv1.FederationPlan {
	return &isthmusv1.FederationPlan{Federation: f.GetName()}
}
