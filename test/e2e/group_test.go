package e2e_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

func containsAll(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// write puts a file into the fleet's directory and returns its path.
func (f *Fleet) write(name, content string) string {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return f.path(name)
}

// pairs are the names of all peerings, sorted.
func (f *Fleet) pairs() []string {
	f.t.Helper()
	all, err := client.AllOf[*isthmusv1.Peering](f.t.Context(), f.Client)
	if err != nil {
		f.t.Fatal(err)
	}
	var out []string
	for _, p := range all {
		if p.GetDeleteTime() == nil {
			out = append(out, p.GetName())
		}
	}
	slices.Sort(out)
	return out
}

func (f *Fleet) havePairs(want ...string) {
	f.t.Helper()
	f.Eventually(fmt.Sprintf("the peerings are %v", want), func() error {
		if got := f.pairs(); !slices.Equal(got, want) {
			return fmt.Errorf("they are %v", got)
		}
		return nil
	})
}

// Datacenters come into a group and go out of it by their labels.
func TestGroupFollowsLabels(t *testing.T) {
	f := NewFleet(t, 3)
	for _, name := range []string{"dc1", "dc2", "dc3"} {
		f.Datacenter(name)
	}
	f.Declare("dc1", "dc2")
	f.Apply("kind: PeeringGroup\nname: mesh\nspec: {shape: full-mesh, selector: env=test}\n")
	f.Healthy("mesh-dc1-dc2")

	t.Log("a third one comes")
	f.Declare("dc3")
	f.havePairs("mesh-dc1-dc2", "mesh-dc1-dc3", "mesh-dc2-dc3")
	f.Healthy(f.pairs()...)
	roles := map[string]string{}
	for _, name := range f.pairs() {
		roles[name] = f.Peering(name).GetSpec().GetAcceptor()
	}

	t.Log("what a group owns is not edited by hand")
	if _, problem, code := f.Run("delete", "peering", "mesh-dc1-dc2"); code == 0 || !strings.Contains(problem, "mesh") {
		t.Errorf("deleting a group's peering by hand: exit code %d, %s", code, problem)
	}

	t.Log("one leaves: two of three peerings would go, which needs force")
	leave := f.write("leave.yaml", "kind: Datacenter\nname: dc2\nlabels: {env: other}\nspec: {runtime: vm}\n")
	if _, problem, code := f.Run("apply", "-f", leave); code == 0 || !strings.Contains(problem, "force") {
		t.Errorf("it was let go without force: exit code %d, %s", code, problem)
	}
	if got := len(f.pairs()); got != 3 {
		t.Errorf("%d peerings are left after a change that was refused", got)
	}
	out := f.Must("apply", "-f", leave, "--dry-run", "--force")
	if strings.Count(out, "delete") < 2 {
		t.Errorf("the dry run does not show what would be deleted:\n%s", out)
	}
	f.Must("apply", "-f", leave, "--force")
	f.havePairs("mesh-dc1-dc3")
	f.Gone("Peering", "mesh-dc1-dc2")
	f.Gone("Peering", "mesh-dc2-dc3")
	f.Healthy("mesh-dc1-dc3")

	t.Log("it comes back: whoever accepted accepts again")
	f.Declare("dc2")
	f.havePairs("mesh-dc1-dc2", "mesh-dc1-dc3", "mesh-dc2-dc3")
	f.Healthy(f.pairs()...)
	for name, acceptor := range roles {
		if got := f.Peering(name).GetSpec().GetAcceptor(); got != acceptor {
			t.Errorf("%s is accepted by %s now, by %s before", name, got, acceptor)
		}
	}

	t.Log("what is exported applies back to the same")
	exported := f.write("export.yaml", f.Must("export"))
	if out := f.Must("apply", "-f", exported, "--dry-run"); !strings.Contains(out, "0 to create, 0 to update, 0 to delete") {
		t.Errorf("an export does not apply back to the same:\n%s", out)
	}
}
