package observation

import (
	"context"
	"time"

	"isthmus/resource"
)

// Hush looks who has fallen silent, and gives who counts as silent then, and who would if all were looked through.
func (t *Table) Hush() (counts, is map[string]bool) {
	t.hush()
	t.mu.Lock()
	defer t.mu.Unlock()
	counts, is = map[string]bool{}, map[string]bool{}
	for _, p := range t.agents {
		counts[p.agent] = p.silent
		is[p.agent] = p.open == 0 && t.looked.Sub(t.heardOf(p, t.looked)) > resource.Silence
	}
	return counts, is
}

// Flush writes what the store does not have.
func (t *Table) Flush(ctx context.Context) { t.flush(ctx, true) }

// Poll reads what other replicas were told.
func (t *Table) Poll(ctx context.Context, last time.Time) time.Time { return t.poll(ctx, last) }

// Lost is told when the store may lack what it had.
func (t *Table) Lost() { t.lost() }
