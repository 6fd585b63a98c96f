package dashboard_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"isthmus/client"
	"isthmus/server"
	"isthmus/simulate"
	"isthmus/test/browser"
)

// silencePatience is how long it may take until a silent datacenter is known to be, on a busy machine.
const silencePatience = 3 * time.Minute

// simulated is a server with a simulated fleet that is healthy: this many datacenters, each peered with the hub of its region, and the hubs.
func simulated(t *testing.T, datacenters, regions int) (*simulate.Fleet, client.Config) {
	t.Helper()
	needsDashboard(t)
	s, err := server.New(t.Context(), server.Config{DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0", Version: "test", Now: time.Now})
	if err != nil {
		t.Fatalf("starting a server: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
	})
	token, err := os.ReadFile(s.AdminTokenFile())
	if err != nil {
		t.Fatal(err)
	}
	config := client.Config{Address: s.URL(), Token: strings.TrimSpace(string(token))}
	starting, cancel := context.WithTimeout(t.Context(), demoPatience)
	defer cancel()
	// As many peerings as connect each to its region's hub, and the hubs to each other.
	peerings := datacenters - regions + regions*(regions-1)/2
	fleet, err := simulate.Start(starting, simulate.Config{
		Server: config, Datacenters: datacenters, Peerings: peerings, Regions: regions, Services: 3,
	})
	if err != nil {
		t.Fatalf("simulating a fleet: %v", err)
	}
	t.Cleanup(fleet.Close)
	if err := fleet.WaitHealthy(starting); err != nil {
		t.Fatalf("waiting for a healthy fleet: %v", err)
	}
	return fleet, config
}

// Somebody looks at a healthy fleet; a datacenter falls silent, and the page says so by itself; they find it on the map, look closer,
// and see it recover.
func TestOverview(t *testing.T) {
	t.Parallel()
	fleet, config := simulated(t, 12, 3)
	page := logIn(t, config.Address, config.Token, browser.Options{Patience: silencePatience})
	theMap := browser.Role("application", "Map of the fleet")
	page.See(t, browser.Text("Nothing needs attention"))
	page.See(t, theMap)
	page.See(t, browser.Role("button", "12 healthy datacenters: show on the map"))
	page.See(t, browser.Role("button", "12 healthy connections: show on the map"))

	// dc-0005 is no hub: one connection goes with it.
	if err := fleet.Cut("dc-0005"); err != nil {
		t.Fatal(err)
	}
	page.See(t, browser.Role("button", "1 unknown datacenters: show on the map"))
	page.See(t, browser.Text("Its only connection is not healthy either."))
	whileCut(t, page)
	page.Click(t, browser.Role("button", "Show on the map (dc-0005)"))
	page.At(t, "/?at=datacenter/dc-0005")
	details := browser.Role("region", "Details of dc-0005")
	page.See(t, browser.Role("link", "Open datacenter").In(details))
	page.Axe(t)
	// The map has the focus.
	page.Press(t, "+", "ArrowLeft", "0", "Escape")
	page.NotSee(t, details)

	findOne(t, page)
	layouts(t, page)

	if err := fleet.Heal("dc-0005"); err != nil {
		t.Fatal(err)
	}
	page.Click(t, browser.Role("button", "Clear"))
	page.See(t, browser.Text("Nothing needs attention"))
	page.See(t, browser.Role("button", "12 healthy connections: show on the map"))
	page.Secrets(t, config.Token)
}

// findOne looks for what is silent: the tables show what the map shows, and the address keeps it.
func findOne(t *testing.T, page *browser.Page) {
	t.Helper()
	listed := browser.Role("button", "on the map").Containing().In(browser.Role("region", "datacenters on the map"))
	page.Click(t, browser.Role("button", "1 unknown datacenters: show on the map"))
	page.At(t, "/?health=unknown")
	page.See(t, browser.Role("button", "Show dc-0005 on the map"))
	page.NotSee(t, browser.Role("button", "Show dc-0001 on the map"))
	page.Reload(t)
	page.See(t, browser.Role("button", "Show dc-0005 on the map"))
	if n := page.Count(t, listed); n != 1 {
		t.Errorf("%d datacenters are listed, of one that is looked for", n)
	}
	page.Resize(t, browser.PhoneWidth, browser.PhoneHeight)
	page.Axe(t)
	page.Resize(t, browser.Width, browser.Height)
}

// layouts chooses another one, and what it groups by.
func layouts(t *testing.T, page *browser.Page) {
	t.Helper()
	page.Click(t, browser.Text("Hubs"))
	page.At(t, "/?health=unknown&layout=hub")
	page.Click(t, browser.Role("combobox", "Group by"))
	page.Click(t, browser.Role("option", "label env"))
	page.At(t, "/?health=unknown&layout=hub&by=env")
	page.See(t, browser.Role("application", "Map of the fleet"))
}
