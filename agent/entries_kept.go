package agent

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent/consul"
	"isthmus/fault"
)

// kept is what isthmus wrote into each config entry, as this agent saw it last. Consul's Meta says it, too, but whoever deletes or replaces an
// entry takes the marks away with it; and what is only to be reported must not be written again because the agent was started again. Every
// agent of a datacenter keeps it, so that one that comes to lead knows.
type kept struct {
	path string
	log  hclog.Logger

	mu    sync.Mutex
	file  keptFile
	saved string
}

type keptFile struct {
	// Index is Consul's of the last change that was seen, and TrustDomain its mesh's. When the one goes back, or the other is another one, it is
	// another Consul, or one that was restored.
	Index       uint64 `json:"index"`
	TrustDomain string `json:"trustDomain,omitempty"`
	// Entries are by kind/namespace/name, then by the parts' keys.
	Entries map[string]remembered `json:"entries"`
}

// openKept reads what was kept; without a path it is kept in memory only. What cannot be read is as good as nothing.
func openKept(path string, log hclog.Logger) *kept {
	k := &kept{path: path, log: log}
	if path != "" {
		if err := readJSON(path, &k.file); err != nil && fault.CodeOf(err) != fault.NotFound {
			log.Warn("going on without knowing what was written into Consul's config entries before", "error", err)
			k.file = keptFile{}
		}
	}
	if k.file.Entries == nil {
		k.file.Entries = map[string]remembered{}
	}
	k.saved = encode(k.file.Entries)
	return k
}

func (id entryID) String() string { return id.kind + "/" + namespaceOf(id.namespace) + "/" + id.name }

// get is what was written into one entry.
func (k *kept) get(id entryID) remembered {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.file.Entries[id.String()])
}

// put replaces it.
func (k *kept) put(id entryID, written remembered) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(written) == 0 {
		delete(k.file.Entries, id.String())
		return
	}
	k.file.Entries[id.String()] = written
}

// only forgets what nobody wants any more of the kinds that policies are merged into.
func (k *kept) only(wishes []wish) {
	keys := map[string]map[string]bool{}
	for _, w := range wishes {
		keys[w.id().String()] = map[string]bool{}
		for _, p := range w.parts {
			keys[w.id().String()][p.key] = true
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, written := range k.file.Entries {
		kind, _, _ := strings.Cut(id, "/")
		if !slices.Contains(policyKinds(), kind) {
			continue
		}
		written = maps.Clone(written)
		maps.DeleteFunc(written, func(key string, _ any) bool { return !keys[id][key] })
		if k.file.Entries[id] = written; len(written) == 0 {
			delete(k.file.Entries, id)
		}
	}
}

// onlyExports forgets the exports that nobody wants any more.
func (k *kept) onlyExports(want map[export]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, written := range k.file.Entries {
		if !strings.HasPrefix(id, consul.KindExportedServices+"/") {
			continue
		}
		written = maps.Clone(written)
		maps.DeleteFunc(written, func(key string, _ any) bool { x, ok := exportOf(key); return !ok || !want[x] })
		if k.file.Entries[id] = written; len(written) == 0 {
			delete(k.file.Entries, id)
		}
	}
}

// seen notes which Consul it is, and forgets everything when it is not the former one. trustDomain may be unknown.
func (k *kept) seen(index uint64, trustDomain string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := &k.file
	if index < f.Index || trustDomain != "" && f.TrustDomain != "" && trustDomain != f.TrustDomain {
		k.log.Info("Consul was made anew or restored; what was written into its config entries before does not count", "index", index, "before", f.Index)
		clear(f.Entries)
	}
	f.Index, f.TrustDomain = index, cmp.Or(trustDomain, f.TrustDomain)
}

// save brings it to disk when it is another one than before.
func (k *kept) save() {
	k.mu.Lock()
	defer k.mu.Unlock()
	text := encode(k.file.Entries)
	if k.path == "" || text == k.saved {
		return
	}
	if err := writeJSON(k.path, k.file); err != nil {
		k.log.Warn("what was written into Consul's config entries is not kept", "error", err)
		return
	}
	k.saved = text
}

// learnExports does the same for the exported-services entry.
func (k *kept) learnExports(entries []consul.Entry) {
	for _, e := range entries {
		if owned := readOwnership(e.Meta()); len(owned) > 0 {
			k.put(exportsID(e.Name), exportParts(owned))
		}
	}
}

// learnMarks notes what the marks in entries say that isthmus wrote, whichever agent did.
func (k *kept) learnMarks(kind string, entries []consul.Entry) {
	for _, e := range entries {
		o := readOwned(e.Meta())
		if len(o) == 0 {
			continue
		}
		id := idOf(kind, e.Namespace, e.Name)
		written := k.get(id)
		if written == nil {
			written = remembered{}
		}
		for key, found := range partsIn(kind, e.Body) {
			if p, ok := o.part(key); ok && p.content.wrote(key, found) {
				written[key] = found
			}
		}
		k.put(id, written)
	}
}
