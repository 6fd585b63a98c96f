package dashboard_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/demo"
	"isthmus/test/browser"
)

// cut is a demo of which one datacenter is cut off while somebody looks: its agent and its Consul answer nobody.
var cut = shared{way: demo.BreakCut}

// silence is how long a page is looked at until isthmus is sure: an agent is silent after half a minute, a heartbeat missing about then.
const silence = 3 * time.Minute

// remember has a page keep, in turn, all that its counts of datacenters say.
const remember = `(() => {
	const said = (window.said = []);
	const look = () => {
		const now = [...document.querySelectorAll('button[aria-pressed]')].map((b) => b.textContent).filter((t) => t.includes('datacenters')).join(', ');
		if (now !== '' && said.at(-1) !== now) said.push(now);
	};
	look();
	new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
	return true;
})()`

// Somebody looks at a healthy fleet, and a datacenter of it is cut off: the page says that something is unknown first, and that it is failing when
// it is sure. A person who knows nothing of it finds with the dashboard alone which one it is, and why.
func TestCut(t *testing.T) {
	t.Parallel()
	result, token := cut.get(t)
	page := logIn(t, result.Address, token, browser.Options{Patience: silence})
	const lost = "dc3"
	page.See(t, browser.Text("Nothing needs attention"))
	page.See(t, browser.Role("button", "3 healthy datacenters: show on the map"))
	live(t, page)
	browser.Evaluate[bool](t, page, remember)
	close(cut.breakNow)

	page.See(t, browser.Role("button", "1 unknown datacenters: show on the map"))
	page.See(t, browser.Role("button", "1 failing datacenters: show on the map"))
	unknownThenFailing(t, browser.Evaluate[[]string](t, page, `window.said`))

	// What needs attention says which one and why, and leads there. Others are well.
	page.NotSee(t, browser.Text("Nothing needs attention"))
	page.See(t, browser.Text("CutOff"))
	page.See(t, browser.Text("hears nothing from it either"))
	page.See(t, browser.Role("button", "2 healthy datacenters: show on the map"))
	page.Axe(t)
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

// unknownThenFailing sees to it that one datacenter was unknown, and failing after that, and that no other one was anything but healthy.
func unknownThenFailing(t *testing.T, said []string) {
	t.Helper()
	unknown := slices.IndexFunc(said, func(s string) bool { return strings.Contains(s, "1 unknown") })
	failing := slices.IndexFunc(said, func(s string) bool { return strings.Contains(s, "1 failing") })
	if unknown < 0 || failing < unknown {
		t.Errorf("it was not unknown before it was failing: the page said %q", said)
	}
	for _, one := range said[1:] {
		if !strings.Contains(one, "2 healthy") {
			t.Errorf("another one than that was not healthy: the page said %q", said)
		}
	}
}
