package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/fault"
	"isthmus/identity"
)

// nowhere is a Consul that is not there: enrolment does not need it.
const nowhere = "CONSUL_HTTP_ADDR=127.0.0.1:1"

// ends runs an agent until it ends by itself, and gives its exit code.
func ends(t *testing.T, config agent.Config) (int, error) {
	t.Helper()
	a, err := agent.New(config)
	need(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = a.Run(ctx)
	if ctx.Err() != nil {
		t.Fatal("the agent did not end")
	}
	return agent.ExitCode(err), err
}

func refusedFor(code fault.Code, reason string) error {
	return &fault.Error{Code: code, Message: "refused", Violations: []fault.Violation{{Field: "x", Reason: reason, Message: "refused"}}}
}

// otherAt is a text with another character at one place, whatever stands there: most of a token is random.
func otherAt(text string, i int) string {
	with := "A"
	if text[i:i+1] == with {
		with = "B"
	}
	return text[:i] + with + text[i+1:]
}

func TestEnrolmentRefused(t *testing.T) {
	t.Parallel()
	otherCA, err := identity.NewCA(time.Now())
	need(t, err)
	for _, tt := range []struct {
		name   string
		change func(h *hub, c *agent.Config)
		code   agent.Exit
	}{
		{"wrong datacenter", func(h *hub, _ *agent.Config) { h.refuse = refusedFor(fault.Denied, identity.ReasonWrongDatacenter) }, agent.ExitWrongDatacenter},
		{"expired", func(h *hub, _ *agent.Config) { h.refuse = refusedFor(fault.Denied, identity.ReasonTokenExpired) }, agent.ExitTokenExpired},
		{"used", func(h *hub, _ *agent.Config) { h.refuse = refusedFor(fault.Denied, identity.ReasonTokenUsed) }, agent.ExitTokenUsed},
		{"unknown", func(h *hub, _ *agent.Config) { h.refuse = refusedFor(fault.Denied, identity.ReasonTokenUnknown) }, agent.ExitTokenInvalid},
		{"changed at the server", func(h *hub, _ *agent.Config) { h.refuse = refusedFor(fault.Denied, identity.ReasonTokenTampered) }, agent.ExitTokenInvalid},
		{"deleted", func(h *hub, _ *agent.Config) { h.refuse = refusedFor(fault.Denied, identity.ReasonAgentDeleted) }, agent.ExitAgentDeleted},
		{"changed on the way", func(_ *hub, c *agent.Config) { c.JoinToken = otherAt(c.JoinToken, 60) }, agent.ExitTokenInvalid},
		{"cut off", func(_ *hub, c *agent.Config) { c.JoinToken = c.JoinToken[:100] }, agent.ExitTokenInvalid},
		{"none", func(_ *hub, c *agent.Config) { c.JoinToken = "" }, agent.ExitTokenInvalid},
		{"for a gateway", func(h *hub, c *agent.Config) {
			token, err := identity.MintJoinToken(h.fleet, identity.MintOptions{Datacenter: "dc1", Kind: "gateway", Address: h.addr, CAFingerprint: h.ca.Fingerprint()}, time.Now())
			need(h.t, err)
			c.JoinToken = token.String()
		}, agent.ExitTokenInvalid},
		{"another server", func(h *hub, c *agent.Config) {
			token, err := identity.MintJoinToken(h.fleet, identity.MintOptions{Datacenter: "dc1", Address: h.addr, CAFingerprint: otherCA.Fingerprint()}, time.Now())
			need(h.t, err)
			c.JoinToken = token.String()
		}, agent.ExitUntrusted},
		{"another fleet", func(_ *hub, c *agent.Config) { c.FleetKey = "SHA256:other" }, agent.ExitUntrusted},
		{"nobody there", func(_ *hub, c *agent.Config) { c.ServerAddress, c.EnrolTimeout = "127.0.0.1:1", time.Second }, agent.ExitUnreachable},
		{"expired before the server is there", func(_ *hub, c *agent.Config) {
			c.ServerAddress = "127.0.0.1:1"
			c.Now = func() time.Time { return time.Now().Add(time.Hour) }
		}, agent.ExitTokenExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			config := h.config("dc1", settings(t, nowhere))
			token := config.JoinToken
			tt.change(h, &config)
			code, err := ends(t, config)
			if code != int(tt.code) {
				t.Fatalf("exit code %d, want %d: %v", code, tt.code, err)
			}
			if strings.Contains(err.Error(), token[20:60]) {
				t.Fatalf("the token is in the error: %v", err)
			}
			if _, err := os.Stat(filepath.Join(config.DataDir, "identity.json")); tt.code != agent.ExitUnreachable && !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("keys that nobody knows were left: %v", err)
			}
		})
	}
}

func TestEnrolmentWaitsForTheServerAndSurvivesACrash(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	config := h.config("dc1", settings(t, nowhere))
	h.stop()
	a, err := agent.New(config)
	need(t, err)
	ctx, crash := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	path := filepath.Join(config.DataDir, "identity.json")
	eventually(t, "keys on disk before the server answers", func() bool { _, err := os.Stat(path); return err == nil })
	before, err := os.ReadFile(path)
	need(t, err)
	crash()
	need(t, <-done)
	h.start(h.addr)
	config.JoinToken = "" // the keys are made: the token has done its work
	r := run(t, config)
	after, err := os.ReadFile(path)
	need(t, err)
	if string(before) != string(after) {
		t.Fatal("other keys after a crash")
	}
	r.stop()
	files, err := os.ReadDir(config.DataDir)
	need(t, err)
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.enrols != 1 {
		t.Fatalf("enrolled %d times", h.enrols)
	}
}

func TestOneAgentInOneDirectory(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	config := h.config("dc1", settings(t, nowhere))
	run(t, config)
	if code, err := ends(t, config); code != 1 || fault.CodeOf(err) != fault.Refused {
		t.Fatalf("a second agent: %d, %v", code, err)
	}
	other := config
	other.DataDir = t.TempDir()
	r := run(t, other)
	r.stop()
	other.JoinToken = "yesterday's leftovers"
	r = run(t, other)
	r.stop() // it is enrolled: it needs none
	other.JoinToken = h.token("dc2").String()
	if code, err := ends(t, other); code != int(agent.ExitWrongDatacenter) {
		t.Fatalf("a token for another datacenter: %d, %v", code, err)
	}
}

func TestDeletedAgentEndsAndComesBackWithAnotherToken(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	config := h.config("dc1", settings(t, nowhere))
	r := run(t, config)
	first := r.name
	eventually(t, "reports", func() bool { return h.reported(first).GetAgent() != nil })
	h.edit(func() { h.refuse = refusedFor(fault.Denied, identity.ReasonAgentDeleted) })
	h.stop() // its open poll ends
	h.start(h.addr)
	r.cancel()
	err := <-r.done
	r.cancel = nil
	if err != nil && agent.ExitCode(err) != int(agent.ExitAgentDeleted) {
		t.Fatalf("a deleted agent: %v", err)
	}
	if code, err := ends(t, config); code != int(agent.ExitAgentDeleted) {
		t.Fatalf("exit code %d: %v", code, err)
	}
	// With another token it enrols anew, once the server takes it.
	config.JoinToken = h.token("dc1").String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	enrolling := make(chan struct{})
	config.Hooks.Enrolled = func(string) { close(enrolling) }
	a, err := agent.New(config)
	need(t, err)
	h.edit(func() { h.refuse = nil; h.gone = first })
	go func() { done <- a.Run(ctx) }()
	select {
	case <-enrolling:
	case err := <-done:
		t.Fatalf("it ended: %v", err)
	}
	cancel()
	need(t, <-done)
}

// An outage of the server, or of the agent, for longer than a certificate lives.
func TestCertificateAfterAnOutage(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	config := h.config("dc1", settings(t, nowhere))
	run(t, config).stop()
	later := func(after time.Duration) {
		h.stop()
		h.edit(func() { h.now = func() time.Time { return time.Now().Add(after) } })
		h.start(h.addr)
		config.Now = h.now
	}
	later(25 * time.Hour)
	renewed := make(chan time.Time, 10)
	config.Hooks.Renewed = func(expires time.Time) { renewed <- expires }
	r := run(t, config)
	if expires := <-renewed; expires.Before(time.Now().Add(48 * time.Hour)) {
		t.Fatalf("renewed until %s", expires)
	}
	eventually(t, "it pulls and reports again", func() bool { return h.reported(r.name).GetAgent() != nil })
	r.stop()
	later(25*time.Hour + 92*24*time.Hour)
	if code, err := ends(t, config); code != int(agent.ExitCertificateTooOld) {
		t.Fatalf("exit code %d: %v", code, err)
	}
}

func TestCertificateIsRenewedAtTwoThirds(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	config := h.config("dc1", settings(t, nowhere))
	var ahead time.Duration
	now := time.Now()
	clock := make(chan time.Duration, 1)
	config.Now = func() time.Time {
		select {
		case ahead = <-clock:
		default:
		}
		return now.Add(ahead)
	}
	config.Now = locked(config.Now)
	renewed := make(chan time.Time, 10)
	config.Hooks.Renewed = func(expires time.Time) { renewed <- expires }
	run(t, config)
	clock <- 15 * time.Hour
	eventually(t, "the clock was read", func() bool { return len(clock) == 0 })
	if len(renewed) > 0 {
		t.Fatal("renewed before two thirds")
	}
	clock <- 16*time.Hour + time.Minute
	<-renewed
}
