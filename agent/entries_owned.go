package agent

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"isthmus/fault"
)

const (
	// metaParts says in an entry which parts of it isthmus wrote: JSON as long as that fits, and stamps otherwise, which go on in metaParts-01
	// and so on.
	metaParts = "isthmus-parts"
	// stamped starts a value of stamps; JSON starts otherwise.
	stamped = "h:"
	// metaKeysMax is Consul's limit for Meta, which others' keys count for, too.
	metaKeysMax = 64
	// metaSource says who manages an entry; sourceKubernetes is what consul-k8s writes there.
	metaSource       = "external-source"
	sourceKubernetes = "kubernetes"
)

// ownedPart is what isthmus remembers in Meta of one part that it wrote.
type ownedPart struct {
	content stamp
	// before is how its field said nothing before (see emptyForm).
	before string
}

// owned are the parts of one entry that isthmus wrote, by the stamp of their key.
type owned map[stamp]ownedPart

// parts looks one up by its key.
func (o owned) part(key string) (ownedPart, bool) {
	p, ok := o[stampOf(key)]
	return p, ok
}

// mark notes that isthmus wrote a part.
func (o owned) mark(key string, p ownedPart) { o[stampOf(key)] = p }

// writeOwned puts what isthmus owns into meta, in place of what was there. keys are those of the parts that are there, so that people can
// read it while it is short.
func writeOwned(meta map[string]string, o owned, keys []string) {
	maps.DeleteFunc(meta, func(key, _ string) bool { return isOwnedKey(key) })
	if len(o) == 0 {
		return
	}
	readable := map[string]string{}
	for _, key := range keys {
		if p, ok := o.part(key); ok {
			readable[key] = hex.EncodeToString(p.content[:]) + p.before
		}
	}
	if text := encode(readable); len(readable) == len(o) && len(text) <= metaValueMax {
		meta[metaParts] = text
		return
	}
	var raw []byte
	for _, key := range slices.SortedFunc(maps.Keys(o), func(a, b stamp) int { return strings.Compare(string(a[:]), string(b[:])) }) {
		content := o[key].content
		raw = append(append(raw, key[:]...), content[:]...)
	}
	rest := stamped + base64.RawURLEncoding.EncodeToString(raw)
	for i := 0; rest != ""; i++ {
		part := rest[:min(metaValueMax, len(rest))]
		rest = rest[len(part):]
		meta[ownedKey(i)] = part
	}
}

// checkMeta refuses what Consul would refuse.
func checkMeta(meta map[string]string) error {
	if len(meta) <= metaKeysMax {
		return nil
	}
	ours := 0
	for key := range meta {
		if isOwnedKey(key) || key == metaCreated {
			ours++
		}
	}
	return because(fault.Refused, reasonMetaFull,
		"the entry's Meta would have %d keys, %d of them isthmus's, and Consul takes %d: what isthmus wrote could not be told from the rest", len(meta), ours, metaKeysMax)
}

func ownedKey(i int) string {
	if i == 0 {
		return metaParts
	}
	return fmt.Sprintf("%s-%02d", metaParts, i)
}

func isOwnedKey(key string) bool { return key == metaParts || strings.HasPrefix(key, metaParts+"-") }

// readOwned reads it out of meta. What cannot be read owns nothing: better a part that stays than a human's that goes.
func readOwned(meta map[string]string) owned {
	text := meta[metaParts]
	rest, isStamped := strings.CutPrefix(text, stamped)
	if !isStamped {
		return readReadable(text)
	}
	for i := 1; i < metaKeysMax && meta[ownedKey(i)] != ""; i++ {
		rest += meta[ownedKey(i)]
	}
	raw, err := base64.RawURLEncoding.DecodeString(rest)
	const size = 2 * len(stamp{})
	if err != nil || len(raw)%size != 0 {
		return owned{}
	}
	o := owned{}
	for one := range slices.Chunk(raw, size) {
		o[stamp(one[:size/2])] = ownedPart{content: stamp(one[size/2:])}
	}
	return o
}

func readReadable(text string) owned {
	readable := map[string]string{}
	if err := json.Unmarshal([]byte(text), &readable); err != nil {
		return owned{}
	}
	const size = 2 * len(stamp{})
	o := owned{}
	for key, value := range readable {
		if len(value) < size {
			return owned{}
		}
		raw, err := hex.DecodeString(value[:size])
		if err != nil {
			return owned{}
		}
		p := ownedPart{content: stamp(raw)}
		if value[size:] == emptyList {
			p.before = emptyList
		}
		o.mark(key, p)
	}
	return o
}
