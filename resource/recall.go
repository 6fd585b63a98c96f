package resource

import "weak"

// Recall gives an object for as long as anybody else holds it, or no garbage collection has come by; then nil.
type Recall func() Object

// weakly makes a Kind's Weak.
func weakly[P interface {
	*T
	Object
}, T any](o Object) Recall {
	typed, ok := o.(P)
	if !ok {
		return func() Object { return nil }
	}
	held := weak.Make((*T)(typed))
	return func() Object {
		if value := held.Value(); value != nil {
			return P(value)
		}
		return nil
	}
}
