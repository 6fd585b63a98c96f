package dashboard_test

import (
	"testing"

	"isthmus/test/browser"
)

// whileCut looks at the curves of a fleet of which dc-0005 is cut off, and what they say to who does not see them.
func whileCut(t *testing.T, page *browser.Page) {
	t.Helper()
	curves := browser.Role("image", "datacenters that are not healthy, over time. Now 1 unknown, 11 healthy").Containing()
	page.See(t, curves)
	page.See(t, browser.Text("Counted since this server was started"))
	page.Hover(t, curves)
	page.See(t, browser.Role("list", "Curves of connections"))
	page.Click(t, browser.Text("Table"))
	page.At(t, "/?trend-as=table")
	page.See(t, browser.Role("cell", "11").In(browser.Role("region", "Counts over time")))
	page.Click(t, browser.Text("Day"))
	page.At(t, "/?trend-as=table&trend=24h")
	page.Axe(t)
	page.Click(t, browser.Text("Curves"))
	page.Click(t, browser.Text("Hour"))
	page.At(t, "/")
	for _, dark := range []bool{true, false} {
		page.Scheme(t, dark)
		page.See(t, curves)
		page.Axe(t)
	}
}
