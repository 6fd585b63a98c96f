package sqlstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/store"
)

// Events implements store.Journal.
func (s *Store) Events(ctx context.Context, q store.EventQuery) ([]*isthmusv1.Event, error) {
	if q.After > store.MaxEventNumber {
		return nil, fault.New(fault.Invalid, "no event has a number above %d", store.MaxEventNumber)
	}
	if q.Limit < 0 {
		return nil, fault.New(fault.Invalid, "%d is no number of events", q.Limit)
	}
	after := q.After
	if q.Descending && after == 0 {
		after = store.MaxEventNumber
	}
	var events []*isthmusv1.Event
	shape, args := eventShape(q, after)
	err := s.read(ctx, Statement{
		SQL: s.sql.events[shape], Args: args, Row: func(scan func(...any) error) error {
			e, err := scanEvent(scan)
			events = append(events, e)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	return events, nil
}

func scanEvent(scan func(...any) error) (*isthmusv1.Event, error) {
	e := &isthmusv1.Event{Spec: &isthmusv1.EventSpec{}, Status: &isthmusv1.EventStatus{}}
	var number, index int64
	var created string
	var spec []byte
	if err := scan(&number, &index, &created, &spec, &e.Status.PreviousHash, &e.Status.Hash); err != nil {
		return nil, err
	}
	e.Name, e.Index = store.EventName(uint64(number)), uint64(index)
	if err := parseTime(&created, &e.CreateTime); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading the time of event %s", e.GetName())
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(spec, e.Spec); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading event %s", e.GetName())
	}
	return e, nil
}

// Secret implements store.Vault.
func (s *Store) Secret(ctx context.Context, digest string) (store.Secret, error) {
	var secret store.Secret
	err := s.read(ctx, Statement{SQL: s.sql.secret, Args: []any{digest}, Row: func(scan func(...any) error) error {
		var expires *string
		if err := scan(&secret.Digest, &secret.Kind, &secret.Body, &expires); err != nil {
			return err
		}
		var at *timestamppb.Timestamp
		if err := parseTime(expires, &at); err != nil {
			return fault.Wrap(fault.Internal, err, "reading the end of secret %s", digest)
		}
		if at != nil {
			secret.ExpireTime = at.AsTime()
		}
		return nil
	}})
	if err != nil {
		return store.Secret{}, err
	}
	if secret.Digest == "" {
		return store.Secret{}, fault.New(fault.NotFound, "there is no secret %s", digest)
	}
	return secret, nil
}

// Observe implements store.Observatory.
func (s *Store) Observe(ctx context.Context, observations []store.Observation) error {
	if len(observations) == 0 {
		return nil
	}
	// As of a write, the caller may give up and go on with them.
	copied := slices.Clone(observations)
	for i := range copied {
		copied[i].Body = slices.Clone(copied[i].Body)
	}
	return s.observes.do(ctx, copied)
}

// observationKey names a row of observations.
type observationKey struct{ datacenter, part string }

// observe stores the observations of a group, each caller's with its own outcome.
func (s *Store) observe(batch []*ticket[[]store.Observation]) {
	group := settling[*ticket[[]store.Observation]]{
		try: s.observeAll, fail: func(t *ticket[[]store.Observation], err error) { t.err = err },
	}
	group.run(batch)
}

// observeAll is one transaction; of several observations for one part, the last is stored.
func (s *Store) observeAll(batch []*ticket[[]store.Observation]) error {
	full := map[observationKey]store.Observation{}
	heard := map[observationKey]time.Time{}
	for _, t := range batch {
		for _, o := range t.item {
			key := observationKey{o.Datacenter, o.Part}
			if len(o.Body) > 0 {
				full[key] = o
				delete(heard, key)
				continue
			}
			if earlier, ok := full[key]; ok {
				earlier.HeardTime = o.HeardTime
				full[key] = earlier
				continue
			}
			heard[key] = o.HeardTime
		}
	}
	// In one order everywhere: servers that lock the same rows do not wait for each other in a circle.
	var puts, hears []any
	for _, key := range sortedObservations(full) {
		o := full[key]
		puts = append(puts,
			o.Datacenter, o.Part, o.Agent, o.Digest, string(o.Body), formatTime(o.ReceiveTime), formatTime(o.HeardTime))
	}
	for _, key := range sortedObservations(heard) {
		hears = append(hears, key.datacenter, key.part, formatTime(heard[key]))
	}
	ctx, cancel := context.WithTimeout(s.life, commitTimeout)
	defer cancel()
	return s.transact(ctx, append(s.sql.putObservations.statements(puts, nil), s.sql.hearObservations.statements(hears, nil)...)...)
}

func sortedObservations[V any](m map[observationKey]V) []observationKey {
	return slices.SortedFunc(maps.Keys(m), func(a, b observationKey) int {
		return cmp.Or(cmp.Compare(a.datacenter, b.datacenter), cmp.Compare(a.part, b.part))
	})
}

// Observations implements store.Observatory.
func (s *Store) Observations(ctx context.Context, since time.Time) ([]store.Observation, error) {
	from := ""
	if !since.IsZero() {
		from = formatTime(since)
	}
	return s.observed(ctx, s.sql.observations, from, from)
}

// ObservationsOf implements store.Observatory.
func (s *Store) ObservationsOf(ctx context.Context, datacenter string) ([]store.Observation, error) {
	return s.observed(ctx, s.sql.observationsOf, datacenter)
}

// observed are the observations that a query finds.
func (s *Store) observed(ctx context.Context, query string, args ...any) ([]store.Observation, error) {
	var out []store.Observation
	err := s.read(ctx, Statement{SQL: query, Args: args, Row: func(scan func(...any) error) error {
		var o store.Observation
		var received, heard string
		if err := scan(&o.Datacenter, &o.Part, &o.Agent, &o.Digest, &o.Body, &received, &heard); err != nil {
			return err
		}
		for text, into := range map[*string]*time.Time{&received: &o.ReceiveTime, &heard: &o.HeardTime} {
			var at *timestamppb.Timestamp
			if err := parseTime(text, &at); err != nil {
				return fault.Wrap(fault.Internal, err, "reading the times of the observation %s of %s", o.Part, o.Datacenter)
			}
			*into = at.AsTime()
		}
		out = append(out, o)
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Forget implements store.Observatory.
func (s *Store) Forget(ctx context.Context, datacenter, part string) error {
	if part == "" {
		return s.transact(ctx, Statement{SQL: s.sql.forget, Args: []any{datacenter}})
	}
	return s.transact(ctx, Statement{SQL: s.sql.forgetPart, Args: []any{datacenter, part}})
}
