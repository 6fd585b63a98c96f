package arch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Imports go down only:
//
//	cmd → demo → server, agent, client → plan → peering, policy → resource → fault, proto
//	             server → store, identity, seal;   agent → agent/consul, identity, seal
//
// edge is an import that must not be.
type edge struct {
	// from and to are paths without the module's name for our own packages (server covers server/api), import paths for
	// others. "…" is everything.
	from []string
	not  []string // packages below from that the rule is not about
	to   []string
	// reach: nor through other packages of ours.
	reach bool
	// tests: nor in tests.
	tests bool
	why   string
}

// What the domain must not know.
func impure() []string {
	return []string{
		"os", "os/exec", "net/http", "database/sql", "google.golang.org/grpc", "github.com/hashicorp/go-hclog",
		"github.com/hashicorp/consul/api", "github.com/jackc/pgx/v5", "modernc.org/sqlite",
	}
}

func forbidden() []edge {
	domain := []string{"resource", "desired", "federation", "peering", "policy", "inventory", "plan", "connection", "explain", "overview", "datacenterstate", "history", "trend"}
	return []edge{
		{from: []string{"…"}, to: []string{"cmd"}, tests: true, why: "nobody imports cmd"},
		{from: []string{"…"}, not: []string{"test", "bench"}, to: []string{"test", "bench", "tools"}, why: "harnesses are for tests"},
		{from: []string{"…"}, not: []string{"cmd", "demo", "test", "bench"}, to: []string{"demo"}, why: "the demo is built on top of everything"},
		{from: []string{"…"}, not: []string{"cmd", "test", "bench"}, to: []string{"simulate"}, why: "a simulated fleet is for sizes: nothing is built on it"},
		{from: []string{"simulate"}, to: []string{"server", "agent", "gateway", "store", "demo"}, reach: true, why: "a simulated agent and the server meet in the protos only"},
		{from: []string{"…"}, not: []string{"agent/consul"}, to: []string{"github.com/hashicorp/consul/api"}, tests: true, why: "agent/consul alone knows Consul's client"},
		{from: []string{"…"}, not: []string{"agent/kube"}, to: []string{"k8s.io/client-go", "k8s.io/api"}, tests: true, why: "agent/kube alone knows Kubernetes' client"},
		{from: []string{"…"}, not: []string{"cmd"}, to: []string{"github.com/spf13/cobra", "github.com/spf13/pflag"}, why: "the command line is cmd's"},
		{from: []string{"…"}, not: []string{"store", "migrations", "test", "bench"}, to: []string{"database/sql", "github.com/jackc/pgx/v5", "modernc.org/sqlite", "github.com/pressly/goose/v3"}, why: "store alone speaks SQL"},

		{from: domain, not: []string{"resource/resourcetest"}, to: impure(), reach: true, why: "the domain is pure"},
		{from: domain, to: []string{"store", "server", "agent", "client", "identity", "seal"}, reach: true, why: "imports go down only"},
		{from: []string{"resource", "desired"}, to: []string{"federation", "peering", "policy", "plan"}, reach: true, why: "imports go down only"},
		{from: []string{"federation", "peering", "policy"}, to: []string{"plan"}, reach: true, why: "imports go down only"},
		{from: []string{"peering"}, to: []string{"policy", "federation"}, reach: true, why: "neighbours do not know each other"},
		{from: []string{"doctor"}, to: slices.Concat(impure(), []string{"store", "server", "agent", "client", "identity", "seal"}), reach: true, why: "doctor is pure: it judges what it is given"},
		{from: []string{"removal"}, to: slices.Concat(impure(), []string{"store", "server", "agent", "client", "identity", "seal", "plan", "peering"}), reach: true, why: "removal is pure, and is told what has been applied"},
		{from: []string{"resource", "federation", "peering", "policy", "inventory", "plan"}, to: []string{"doctor", "removal"}, reach: true, why: "rules know nobody who asks about them"},
		{from: []string{"resource", "federation", "peering", "policy", "inventory", "plan"}, to: []string{"connection", "explain", "overview", "datacenterstate", "history", "trend"}, reach: true, why: "rules know nobody who asks about them"},
		{from: []string{"policy"}, to: []string{"peering", "federation"}, reach: true, why: "neighbours do not know each other"},
		{from: []string{"fault", "proto"}, to: []string{"resource", "store", "server", "agent", "client", "plan", "identity", "seal"}, reach: true, why: "the vocabulary knows nobody"},

		{from: []string{"store", "identity", "seal"}, to: []string{"server", "agent", "client", "plan", "peering", "policy", "federation"}, reach: true, why: "what keeps and what seals know no server and no rules"},
		{from: []string{"identity", "seal"}, to: []string{"store"}, reach: true, why: "keys know no store"},
		{from: []string{"server"}, to: []string{"agent", "client", "gateway", "demo"}, reach: true, why: "server and agent meet in the protos only"},
		{from: []string{"agent", "gateway"}, to: []string{"server", "store", "client", "plan", "peering", "policy"}, reach: true, why: "an agent does what it is told: it decides nothing, and keeps files only"},
		{from: []string{"client"}, to: []string{"server", "agent", "store", "plan", "peering", "policy"}, reach: true, why: "a client knows the API, not the server"},
		{from: []string{"demo/consulrun", "test/consultest"}, to: []string{"server", "agent", "client", "store", "plan"}, reach: true, why: "running a Consul needs no isthmus"},
	}
}

// maxDepth is the longest chain of imports below cmd, in top-level folders, the vocabulary (proto, fault) aside: who reads
// the code goes down through no more than that many parts.
const maxDepth = 5

const module = "isthmus"

// pkg is what `go list` says of a package.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func list(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	packages := map[string]pkg{}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	return packages
}

func TestForbiddenImports(t *testing.T) {
	t.Parallel()
	packages := list(t)
	for _, path := range slices.Sorted(maps.Keys(packages)) {
		for _, e := range forbidden() {
			if !covers(e.from, path) || covers(e.not, path) || covers(e.to, path) {
				continue
			}
			for _, chain := range e.broken(packages, path) {
				t.Errorf("%s: %s", strings.Join(chain, " → "), e.why)
			}
		}
	}
}

// broken are the chains of imports from a package to what the edge forbids.
func (e edge) broken(packages map[string]pkg, path string) [][]string {
	var chains [][]string
	imports := packages[path].Imports
	if e.tests {
		imports = slices.Concat(imports, packages[path].TestImports, packages[path].XTestImports)
	}
	seen := map[string]bool{path: true}
	var walk func(chain, imports []string)
	walk = func(chain, imports []string) {
		for _, to := range imports {
			if seen[to] {
				continue
			}
			seen[to] = true
			next := append(slices.Clone(chain), to)
			if covers(e.to, to) {
				chains = append(chains, next)
			} else if p, ours := packages[to]; ours && e.reach && !vocabulary(to) {
				walk(next, p.Imports)
			}
		}
	}
	walk([]string{path}, imports)
	return chains
}

// vocabulary is what every package may speak; it knows gRPC's codes and HTTP's, and brings nobody else's ways in.
func vocabulary(path string) bool { return covers([]string{"proto", "fault"}, path) }

// covers tells whether a package is one of those that are named, or below one.
func covers(names []string, path string) bool {
	own, isOwn := strings.CutPrefix(path, module+"/")
	return slices.ContainsFunc(names, func(name string) bool {
		if name == "…" {
			return true
		}
		// Our own folders have no dot and no slash of a host in their first element; the standard library is matched exactly.
		if isOwn {
			return own == name || strings.HasPrefix(own, name+"/")
		}
		return path == name || strings.Contains(name, ".") && strings.HasPrefix(path, name+"/")
	})
}

func TestImportsAreShallow(t *testing.T) {
	t.Parallel()
	packages := list(t)
	deepest := map[string][]string{} // the longest chain of folders from a package downwards, its own first
	var chain func(path string) []string
	chain = func(path string) []string {
		if known, ok := deepest[path]; ok {
			return known
		}
		longest := []string{folder(path)}
		for _, to := range packages[path].Imports {
			if _, ours := packages[to]; !ours || vocabulary(to) {
				continue
			}
			below := chain(to)
			if below[0] != folder(path) {
				below = append([]string{folder(path)}, below...)
			}
			if len(below) > len(longest) {
				longest = below
			}
		}
		deepest[path] = longest
		return longest
	}
	for path := range packages {
		if !covers([]string{"cmd", "test", "bench"}, path) && len(chain(path)) > maxDepth {
			t.Errorf("%d folders deep, at most %d: %s", len(chain(path)), maxDepth, strings.Join(chain(path), " → "))
		}
	}
}

// folder is the top-level folder that a package is in.
func folder(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, module+"/"), "/")
	return first
}

// A table whose rows match nothing would forbid nothing.
func TestTableNamesRealPackages(t *testing.T) {
	t.Parallel()
	packages := list(t)
	for _, e := range forbidden() {
		for _, name := range slices.Concat(e.from, e.not) {
			exists := name == "…"
			for path := range packages {
				exists = exists || covers([]string{name}, path)
			}
			if !exists {
				t.Errorf("%s (%s) is no package here", name, e.why)
			}
		}
	}
}
