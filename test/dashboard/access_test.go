package dashboard_test

import (
	"context"
	"strings"
	"testing"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/test/browser"
)

// A join token is made, shown once and never again, and used by an agent: nobody trusts that before it is approved, as the page says with the
// command that does it. What is left of the token is revoked.
func TestJoinTokens(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, "kind: Datacenter\nname: dc1\nspec: {runtime: vm}\n")
	page := logIn(t, p.address, p.token, browser.Options{Path: "/access?tab=join-tokens"})
	page.See(t, browser.Text("There are no join tokens"))
	page.Axe(t)

	token := makeJoinToken(t, page)
	row := browser.Role("button", "Revoke join token").Containing()
	page.See(t, row)
	page.Axe(t)
	page.Goto(t, "/access?tab=agents")
	page.See(t, browser.Text("No agent is enrolled"))
	live(t, page)
	enrol(t, token)
	page.See(t, browser.Text("waits for approval"))
	page.See(t, browser.Text("isthmus agent approve dc1-"))
	page.See(t, browser.Text("The server knows it with"))
	page.Axe(t)
	page.Secrets(t, token)

	page.Click(t, browser.Role("tab", "Join tokens"))
	page.See(t, browser.Text("1 of 2"))
	page.See(t, browser.Text("the server only"))
	page.Click(t, row)
	dialog := browser.Role("dialog", "Revoke join token").Containing()
	page.Axe(t)
	page.Click(t, browser.Role("button", "Revoke").In(dialog))
	page.NotSee(t, dialog)
	page.See(t, browser.Text("There are no join tokens"))

	page.Click(t, browser.Role("tab", "Agents"))
	page.Click(t, browser.Role("button", "Delete agent dc1-").Containing())
	dialog = browser.Role("dialog", "Delete agent dc1-").Containing()
	page.See(t, browser.Role("button", "Delete").With("disabled", "true").In(dialog))
	page.Click(t, browser.Role("button", "Cancel").In(dialog))
	page.Secrets(t, token, p.token)
}

// makeJoinToken makes one for dc1 that two may use, and reads it from the command that the dialogue shows.
func makeJoinToken(t *testing.T, page *browser.Page) string {
	t.Helper()
	page.Click(t, browser.Role("button", "New join token"))
	dialog := browser.Role("dialog", "New join token")
	page.See(t, browser.Role("button", "Make the token").With("disabled", "true").In(dialog))
	page.Click(t, browser.Role("combobox", "Datacenter").In(dialog))
	page.Click(t, browser.Role("option", "dc1"))
	page.Fill(t, browser.Label("Uses"), "2")
	page.Axe(t)
	page.Click(t, browser.Role("button", "Make the token").In(dialog))
	page.See(t, browser.Text("The token is shown once"))
	page.See(t, browser.Text("isthmus agent --data-dir /var/lib/isthmus-agent --join-token-file dc1.token --fleet-id"))
	page.Axe(t)
	_, rest, _ := strings.Cut(page.Read(t, browser.Text("cat > dc1.token <<'END'")), "<<'END'")
	token, _, found := strings.Cut(strings.TrimSpace(rest), " ")
	if !found || len(token) < 40 {
		t.Fatalf("the command has a token of %d letters", len(token))
	}
	page.Press(t, "Escape")
	page.NotSee(t, dialog)
	page.Forget()
	page.Secrets(t, token)
	page.Reload(t)
	return token
}

// enrol runs an agent with a join token until the test ends. It never finds a Consul.
func enrol(t *testing.T, token string) {
	t.Helper()
	enrolled := make(chan string, 1)
	a, err := agent.New(agent.Config{
		DataDir: t.TempDir(), JoinToken: token, Consul: consul.Settings{Address: "127.0.0.1:1"}, Version: "v1.0.0", Host: "host-1",
		Hooks: agent.Hooks{Enrolled: func(name string) { enrolled <- name }},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the agent ended with %v", err)
		}
	})
	select {
	case <-enrolled:
	case err := <-done:
		done <- nil
		t.Fatalf("the agent ended before it was enrolled: %v", err)
	}
}

// An API token is shown once. Whoever has it may do what its role says, until it is revoked.
func TestAPITokens(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	page := logIn(t, p.address, p.token, browser.Options{Path: "/access?tab=api-tokens"})
	page.Click(t, browser.Role("button", "New API token"))
	dialog := browser.Role("dialog", "New API token")
	page.Fill(t, browser.Label("Name"), "reader")
	page.Fill(t, browser.Label("For"), "a screen on the wall")
	page.Axe(t)
	page.Click(t, browser.Role("button", "Make the token").In(dialog))
	page.See(t, browser.Text("The secret is shown once"))
	page.Axe(t)
	secret := page.Read(t, browser.Text("isthmus_reader_").In(dialog))
	page.Press(t, "Escape")
	page.NotSee(t, dialog)
	page.Forget()
	page.See(t, browser.Text("a screen on the wall"))
	page.Secrets(t, secret)
	page.Reload(t)
	page.See(t, browser.Text("a screen on the wall"))

	wall := logIn(t, p.address, secret, browser.Options{Path: "/access?tab=api-tokens"})
	wall.See(t, browser.Role("heading", "Access"))
	wall.NotSee(t, browser.Role("tab", "API tokens"))

	page.Click(t, browser.Role("button", "Revoke API token reader"))
	dialog = browser.Role("dialog", "Revoke API token reader")
	page.See(t, browser.Role("button", "Revoke").With("disabled", "true").In(dialog))
	page.Fill(t, browser.Label("Type reader to confirm"), "reader")
	page.Click(t, browser.Role("button", "Revoke").In(dialog))
	page.NotSee(t, dialog)
	page.NotSee(t, browser.Text("a screen on the wall"))
	wall.Forgive("401")
	wall.See(t, browser.Role("button", "Log in"))
	page.Secrets(t, secret, p.token)
	wall.Secrets(t, secret, p.token)
}
