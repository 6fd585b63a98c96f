package observation

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// looks is how many of the last looks at a clock count. Whatever a report took on its way makes its sender's clock look that much slower,
	// so the one that took the least time tells the most.
	looks = 3
	// proven is how many looks it takes to say that a clock is behind, which a single slow report may pretend.
	proven = 2
	// onTheWay is longer than any report is on its way: agents give one up after 15 s. What is further behind than that was set back.
	onTheWay = 20 * time.Second
	// tolerated is the difference that is none: what it takes to tell two clocks apart over a network, and rounding.
	tolerated = time.Second
)

// clock is what is known of one agent's clock.
type clock struct {
	// ahead are the differences to this server's clock at the last looks, the newest last.
	ahead []time.Duration
	// told is the difference that was told of last, in whole seconds.
	told time.Duration
}

// look takes in one more difference and gives the one to tell of, in whole seconds: the same as before while it is about that.
func (c *clock) look(ahead time.Duration) time.Duration {
	if n := len(c.ahead); n > 0 && ahead < c.ahead[n-1]-onTheWay {
		c.ahead, c.told = c.ahead[:0], 0
	}
	c.ahead = append(c.ahead, ahead)
	c.ahead = c.ahead[max(0, len(c.ahead)-looks):]
	best := c.ahead[0]
	for _, a := range c.ahead {
		best = max(best, a)
	}
	switch {
	case best < 0 && len(c.ahead) < proven && -best <= onTheWay:
		// It may have been on its way for that long.
	case best.Abs() <= tolerated:
		c.told = 0
	case c.told == 0 || (best-c.told).Abs() > tolerated:
		c.told = time.Duration(math.Round(best.Seconds())) * time.Second
	}
	return c.told
}

// Clock takes in what an agent's clock said when it asked for something, and does not wait until the store has it.
func (t *Table) Clock(datacenter, agent string, sent *timestamppb.Timestamp) error {
	now := t.now()
	news, err := t.skew(datacenter, agent, sent, now)
	if err == nil && t.take(datacenter, agent, news, now) != nil {
		t.poke()
	}
	return err
}

// skew is what an agent's clock tells in a report that came now, when it is news; nothing for a report without one.
func (t *Table) skew(datacenter, agent string, sent *timestamppb.Timestamp, now time.Time) ([]said, error) {
	if sent == nil {
		return nil, nil
	}
	k := key{datacenter, ClockPart(agent)}
	t.mu.Lock()
	row, known := t.rows[k]
	if t.clocks[k] == nil {
		t.clocks[k] = &clock{told: row.Skew.AsDuration()}
	}
	told := t.clocks[k].look(sent.AsTime().Sub(now))
	t.mu.Unlock()
	if told == row.Skew.AsDuration() && (known || told == 0) {
		return nil, nil
	}
	s, err := newSaid(k, agent, durationpb.New(told), now)
	return []said{s}, err
}
