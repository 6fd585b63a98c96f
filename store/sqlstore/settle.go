package sqlstore

import (
	"isthmus/fault"
)

// maxTries bounds the transactions that one group may take. It is enough to find the bad ones of any small group and a
// few of the largest; when what is wrong is not in the items, it ends the search.
const maxTries = 64

// settling brings a group into the database: together, or in halves where the database refuses them together, so that
// those that it refuses fail alone. Items are tried in their order.
type settling[T any] struct {
	// try is one transaction: an error is of all items, and nothing is known of any of them but what it says.
	try func(items []T) error
	// fail gives an item its error. Items that were tried without an error already have what came of them.
	fail func(item T, err error)

	tries int
	// over, once set, is the error of all that is left.
	over error
}

func (s *settling[T]) run(items []T) {
	if s.over != nil {
		s.failAll(items, s.over)
		return
	}
	s.tries++
	err := s.try(items)
	if err == nil {
		return
	}
	if !refused(err) {
		s.over = fault.Wrap(fault.Unavailable, err, "the store did not get as far as this write: nothing of it is stored")
		s.failAll(items, err)
		return
	}
	if s.tries == maxTries {
		s.over = fault.Wrap(fault.Unavailable, err, "the store failed with too many writes at once: nothing of this one is stored")
	}
	if len(items) == 1 {
		s.fail(items[0], err)
		return
	}
	half := len(items) / 2
	s.run(items[:half])
	s.run(items[half:])
}

func (s *settling[T]) failAll(items []T, err error) {
	for _, item := range items {
		s.fail(item, err)
	}
}
