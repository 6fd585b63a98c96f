package agent_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent"
	"isthmus/agent/consul"
)

// Whatever the server wants, of however many peerings, of new ones and after a restart of the agent: one election in five minutes.
func TestTransfersAreBounded(t *testing.T) {
	t.Parallel()
	var elections atomic.Int32
	answer := atomic.Pointer[func(http.ResponseWriter)]{}
	says := func(f func(http.ResponseWriter)) { answer.Store(&f) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/operator/raft/transfer-leader") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		elections.Add(1)
		(*answer.Load())(w)
	}))
	t.Cleanup(server.Close)
	c, err := consul.New(consul.Settings{Address: server.URL}, hclog.NewNullLogger())
	need(t, err)
	now, dir := time.Unix(1_700_000_000, 0), t.TempDir()
	start := func() *agent.Transfers {
		out, err := agent.NewTransfers(dir, c, func() time.Time { return now })
		need(t, err)
		return out
	}
	a := start()
	want := func(uid string, number int32, problem string, total int32) {
		t.Helper()
		done, said, err := a.Want(t.Context(), uid, number)
		need(t, err)
		if done != number || !strings.Contains(said, problem) || problem == "" && said != "" || elections.Load() != total {
			t.Fatalf("%s has %d (%q) after %d elections, not %d (%q) after %d", uid, done, said, elections.Load(), number, problem, total)
		}
	}

	// A token without the rule elects nobody, and what is wanted next is tried.
	says(func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("Permission denied: token with AccessorID 'x' lacks permission 'operator:write'"))
	})
	want("u0", 1, `operator = "write"`, 1)
	says(func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"Success": true}`)) })
	want("u0", 2, "", 2)
	for i := range int32(20) {
		now = now.Add(14 * time.Second)
		want("u0", 3+i, "", 2)
		want(fmt.Sprint("new", i), 1, "", 2)
	}
	need(t, a.Forget())
	a = start()
	want("u0", 1, "", 2)
	// The clock is set back: that is no reason for another one, and holds up none for long.
	now = now.Add(-9 * time.Minute)
	want("u0", 2, "", 2)
	now = now.Add(-time.Hour)
	says(func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("cannot find peer"))
	})
	want("u0", 3, "cannot find peer", 3)
	// What was in the way of it is said to those that it would have served.
	want("u1", 1, "cannot find peer", 3)
	says(func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"Success": true}`)) })
	now = now.Add(5 * time.Minute)
	want("u1", 2, "", 4)
}
