package dashboard_test

import (
	"strings"
	"testing"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/browser"
)

// Somebody types the name of an agent to delete it, from its row of a table, while the fleet changes: the dialogue stays, with what was typed
// and where the cursor is.
func TestDialogueOfARowOutlivesChanges(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	enrol(t, p.mint(t, "dc1"))
	name := p.onlyAgent(t)
	page := logIn(t, p.address, p.token, browser.Options{Path: "/access?tab=agents"})
	live(t, page)

	page.Click(t, browser.Role("button", "Delete agent "+name))
	dialog := browser.Role("dialog", "Delete agent "+name)
	field := browser.Label("Type " + name + " to confirm")
	half := len(name) / 2
	page.Fill(t, field, name[:half])

	token := p.mint(t, "dc2")
	enrol(t, token)
	page.See(t, browser.Text("Agent dc2-")) // the page below has read the fleet again

	page.See(t, field.With("focused", "true").In(dialog))
	page.Press(t, strings.Split(name[half:], "")...)
	page.See(t, browser.Role("button", "Delete").With("disabled", "false").In(dialog))
	page.Click(t, browser.Role("button", "Cancel").In(dialog))
	page.NotSee(t, dialog)
	page.Secrets(t, p.token, token)
}

// mint makes a join token for one agent of a datacenter, which the server signs.
func (p *plain) mint(t *testing.T, datacenter string) string {
	t.Helper()
	made, err := p.client.MintJoinToken(t.Context(), &isthmusv1.MintJoinTokenRequest{Datacenter: datacenter})
	if err != nil {
		t.Fatal(err)
	}
	return made.GetToken()
}

// onlyAgent is the name of the one agent that is enrolled.
func (p *plain) onlyAgent(t *testing.T) string {
	t.Helper()
	agents, err := client.AllOf[*isthmusv1.Agent](t.Context(), p.client)
	if err != nil || len(agents) != 1 {
		t.Fatalf("there are %d agents, not 1: %v", len(agents), err)
	}
	return agents[0].GetName()
}
