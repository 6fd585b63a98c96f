package policy

// Holding has them hold no more than so many exporters and consumers.
func (x *Exportings) Holding(most int) *Exportings {
	x.most = most
	return x
}

// Size is how many it says that are held, and how many are.
func (x *Exportings) Size() (said, held int) {
	for _, e := range x.of {
		held += e.size()
	}
	return x.size, held
}
