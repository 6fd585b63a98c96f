package dashboard_test

import (
	"testing"
	"time"

	"isthmus/demo"
	"isthmus/test/browser"
)

// cut is a demo of which one datacenter is cut off as soon as all is healthy: its agent and its Consul answer nobody.
var cut = shared{way: demo.BreakCut}

// silence is how long a page is looked at until isthmus is sure: an agent is silent after half a minute, a heartbeat missing about then.
const silence = 3 * time.Minute

// A datacenter is cut, and a person who knows nothing of it finds with the dashboard alone which one, and why.
func TestCut(t *testing.T) {
	t.Parallel()
	result, token := cut.get(t)
	page := logIn(t, result.Address, token, browser.Options{Patience: silence})
	lost := result.Broken.Datacenter

	// The list says which one it is: not known of at first, failing once it is sure, since its peer hears nothing of it either.
	page.Click(t, browser.Role("link", "Datacenters").In(browser.Role("navigation", "Pages")))
	page.See(t, browser.Text("failing").In(browser.Role("region", "datacenters")))
	page.See(t, browser.Text("CutOff").In(browser.Role("region", "datacenters")))
	page.Click(t, browser.Role("link", lost))
	page.See(t, browser.Role("heading", lost))
	page.See(t, browser.Text("is silent"))
	page.See(t, browser.Text("hears nothing from it either"))
	// Nothing that it told is shown as if it were so now.
	page.See(t, browser.Text("old: last seen"))
	page.Axe(t)
	page.Click(t, browser.Role("tab", "Services"))
	page.See(t, browser.Text("old: last seen"))
	page.Click(t, browser.Role("tab", "Connections"))
	// What its connections are now, nobody can know; the other end says that nothing arrives any more.
	page.See(t, browser.Text("unknown"))
	page.See(t, browser.Text("FAILING"))
	page.Axe(t)

	// What keeps a call from there: everything that only its agent could tell.
	page.Goto(t, "/explain?from=consul@"+lost+"&to=web@dc1")
	page.See(t, browser.Text("the agent of "+lost+" is silent"))
	page.See(t, browser.Text("What to do"))
	page.Axe(t)

	// Doctor says it, too.
	page.Goto(t, "/doctor?dc="+lost)
	page.See(t, browser.Text("AgentOnline"))
	page.Secrets(t, token)
}
