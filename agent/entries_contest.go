package agent

import "time"

const (
	// boutsMax corrections of one entry within boutsFor are all: somebody else's controller may put its own back as fast as isthmus does, and
	// the two would do nothing else, nor Consul.
	boutsMax = 8
	boutsFor = 10 * time.Second
)

// contests counts how often entries were put right, lately.
type contests map[entryID][]time.Time

// until tells when an entry may be put right again; the zero time: now.
func (c contests) until(id entryID, now time.Time) time.Time {
	times := c[id]
	if len(times) < boutsMax {
		return time.Time{}
	}
	if again := times[len(times)-boutsMax].Add(boutsFor); again.After(now) {
		return again
	}
	return time.Time{}
}

// note counts one correction.
func (c contests) note(id entryID, now time.Time) {
	times := append(c[id], now)
	c[id] = times[max(0, len(times)-boutsMax):]
}
