package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// blockFor is how long one blocking query may wait at the server. Proxies often cut connections that are silent for
	// a minute.
	blockFor = 50 * time.Second
	// The pause before a blocking query is repeated after an error grows from minRetry to maxRetry.
	minRetry = 250 * time.Millisecond
	maxRetry = 10 * time.Second
	// betweenQueries keeps a watch of a list that changes all the time from reading it more often than people can see.
	betweenQueries = 100 * time.Millisecond
)

// blocking is what makes a read a blocking query; nil makes it a plain one.
type blocking struct {
	index uint64
	wait  time.Duration
}

func (b *blocking) addTo(r *call) {
	if b == nil || b.index == 0 {
		return
	}
	if r.query == nil {
		r.query = url.Values{}
	}
	r.query.Set("index", strconv.FormatUint(b.index, 10))
	r.query.Set("wait", b.wait.String())
	r.wait = b.wait
}

// Watch visits a kind's whole list now and again each time that something in it has changed, until ctx ends. An error
// is visited too: who goes on after it has the query repeated, after a pause that grows; a fault that repeating cannot
// cure (Retriable) ends the sequence.
func (c *Client) Watch(ctx context.Context, kind resource.Kind, options ListOptions) iter.Seq2[[]resource.Object, error] {
	return repeat(ctx, func(last uint64) (answer[[]resource.Object], error) {
		first, err := c.page(ctx, kind, options, "", &blocking{index: last, wait: blockFor})
		if err != nil {
			return answer[[]resource.Object]{}, err
		}
		objects := first.objects
		for token := first.next; token != ""; {
			more, err := c.page(ctx, kind, options, token, nil)
			if err != nil {
				return answer[[]resource.Object]{}, err
			}
			objects, token = append(objects, more.objects...), more.next
		}
		return answer[[]resource.Object]{value: objects, index: first.index}, nil
	})
}

// WatchName is Watch for one resource. When the resource is deleted, nil is visited, and that is the end.
func (c *Client) WatchName(ctx context.Context, kind resource.Kind, name string) iter.Seq2[resource.Object, error] {
	seen := false
	return repeat(ctx, func(last uint64) (answer[resource.Object], error) {
		o := kind.New()
		request := call{method: http.MethodGet, path: pathOf(kind, name)}
		(&blocking{index: last, wait: blockFor}).addTo(&request)
		index, err := c.do(ctx, request, o)
		switch {
		case seen && fault.CodeOf(err) == fault.NotFound:
			return answer[resource.Object]{final: true}, nil
		case err != nil:
			return answer[resource.Object]{}, err
		}
		seen = true
		return answer[resource.Object]{value: o, index: index}, nil
	})
}

// answer is what a blocking query brought.
type answer[T any] struct {
	value T
	index uint64
	// more: it is a part only, and the next one is there already.
	more bool
	// final: there is nothing to wait for any more.
	final bool
}

// repeat runs a blocking query for ever, by Consul's rules: an index that goes back starts over.
func repeat[T any](ctx context.Context, query func(last uint64) (answer[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		// last is the index to wait for news after. 0 asks without blocking.
		var last uint64
		pause := backoff.NewExponentialBackOff()
		pause.InitialInterval, pause.MaxInterval = minRetry, maxRetry
		for first := true; ctx.Err() == nil; {
			a, err := query(last)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				if !yield(a.value, err) || !Retriable(err) || !rest(ctx, max(pause.NextBackOff(), min(fault.RetryAfter(err), maxRetry))) {
					return
				}
				last = 0
				continue
			}
			pause.Reset()
			if first || a.more || a.final || a.index != last {
				if !yield(a.value, nil) || a.final {
					return
				}
			}
			first = false
			if a.more {
				last = 0
				continue
			}
			if a.index < last {
				last = 0
			} else {
				last = a.index
			}
			if !rest(ctx, betweenQueries) {
				return
			}
		}
	}
}

// Retriable tells whether the same request may succeed later without anybody changing it.
func Retriable(err error) bool {
	return slices.Contains([]fault.Code{fault.Unavailable, fault.Busy, fault.Timeout}, fault.CodeOf(err))
}

// rest pauses; false means that ctx ended.
func rest(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// EventOptions choose events.
type EventOptions struct {
	// Kind and Target: only events of this kind, and of the resource of this name.
	Kind   string
	Target string
	// Actor and Action: only what this one did (api-token/NAME, agent/NAME, controller), and only this action.
	Actor  string
	Action string
	// Last gives only so many of the newest; 0: all.
	Last int
}

// Events are entries of the audit log, oldest first.
func (c *Client) Events(ctx context.Context, options EventOptions) ([]*isthmusv1.Event, error) {
	query := options.query()
	query.Set("descending", "true")
	out := []*isthmusv1.Event{}
	for token := ""; ; {
		size := pageSize
		if options.Last > 0 {
			size = min(size, options.Last-len(out))
		}
		query.Set("pageSize", strconv.Itoa(size))
		if token != "" {
			query.Set("pageToken", token)
		}
		page := &isthmusv1.ListEventsResponse{}
		if _, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/events", query: query}, page); err != nil {
			return nil, err
		}
		out = append(out, page.GetEvents()...)
		if token = page.GetNextPageToken(); token == "" || (options.Last > 0 && len(out) >= options.Last) {
			break
		}
	}
	slices.Reverse(out)
	return out, nil
}

// FollowEvents visits the events after a number (an event's name; empty: all), and then each new one, until ctx ends.
// Errors are as Watch's.
func (c *Client) FollowEvents(ctx context.Context, options EventOptions, after string) iter.Seq2[[]*isthmusv1.Event, error] {
	return repeat(ctx, func(last uint64) (answer[[]*isthmusv1.Event], error) {
		query := options.query()
		query.Set("pageSize", strconv.Itoa(pageSize))
		if after != "" {
			query.Set("after", after)
		}
		request := call{method: http.MethodGet, path: "/v1/events", query: query}
		(&blocking{index: last, wait: blockFor}).addTo(&request)
		page := &isthmusv1.ListEventsResponse{}
		index, err := c.do(ctx, request, page)
		if err != nil {
			return answer[[]*isthmusv1.Event]{}, err
		}
		events := page.GetEvents()
		if len(events) > 0 {
			after = events[len(events)-1].GetName()
		}
		// A page that is cut short to nothing waits for the server to get there.
		more := page.GetNextPageToken() != "" && len(events) > 0
		return answer[[]*isthmusv1.Event]{value: events, index: index, more: more}, nil
	})
}

func (o EventOptions) query() url.Values {
	query := url.Values{}
	if o.Kind != "" {
		query.Set("kind", o.Kind)
	}
	if o.Target != "" {
		query.Set("target", o.Target)
	}
	if o.Actor != "" {
		query.Set("actor", o.Actor)
	}
	if o.Action != "" {
		query.Set("action", o.Action)
	}
	return query
}
