package policy

// traffic compiles the TrafficPolicies of the realm.
func (c *compilation) traffic() {}
