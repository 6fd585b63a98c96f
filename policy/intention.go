package policy

// intentions compiles the Intentions of the realm.
func (c *compilation) intentions() {}
