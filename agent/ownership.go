package agent

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"isthmus/fault"
)

const (
	// metaExports says in the exported-services entry which consumers isthmus wrote. When it does not fit into one value it
	// goes on in metaExports-01 and so on.
	metaExports = "isthmus-exports"
	// metaValueMax and metaKeysMax are Consul's limits for Meta; metaKeysOurs leaves some to others.
	metaValueMax = 512
	metaKeysOurs = 56
	// ownershipMax bounds what is unpacked, whatever somebody put there.
	ownershipMax = 8 << 20
	// ownedMax bounds the exports that are read: services times peers come to more than fits into memory from little that is written.
	ownedMax = 250_000
	// packed starts a value that is compressed; JSON starts otherwise.
	packed = "z:"
)

// ownership is the set of exports that isthmus wrote, as it stands in Meta: services that are offered to the same peers
// stand together, since there are few different sets of peers.
type ownership []ownedGroup

type ownedGroup struct {
	// Services are name, or namespace/name outside of the default namespace.
	Services []string `json:"s"`
	Peers    []string `json:"p"`
}

// writeOwnership puts the set into meta, in place of the former one. Refused when it does not fit.
func writeOwnership(meta map[string]string, owned map[export]bool) error {
	maps.DeleteFunc(meta, func(key, _ string) bool { return isOwnershipKey(key) })
	if len(owned) == 0 {
		return nil
	}
	text, err := json.Marshal(group(owned))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encoding what isthmus exports")
	}
	if len(text) <= metaValueMax {
		meta[metaExports] = string(text)
		return nil
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "packing what isthmus exports")
	}
	if _, err := w.Write(text); err != nil {
		return fault.Wrap(fault.Internal, err, "packing what isthmus exports")
	}
	if err := w.Close(); err != nil {
		return fault.Wrap(fault.Internal, err, "packing what isthmus exports")
	}
	rest := packed + base64.RawURLEncoding.EncodeToString(b.Bytes())
	for i := 0; rest != ""; i++ {
		if i == metaKeysOurs {
			return because(fault.Refused, reasonTooMany, "%d exports are more than the Meta of Consul's exported-services entry can tell apart", len(owned))
		}
		part := rest[:min(metaValueMax, len(rest))]
		rest = rest[len(part):]
		meta[ownershipKey(i)] = part
	}
	return nil
}

func ownershipKey(i int) string {
	if i == 0 {
		return metaExports
	}
	return fmt.Sprintf("%s-%02d", metaExports, i)
}

func isOwnershipKey(key string) bool {
	return key == metaExports || strings.HasPrefix(key, metaExports+"-")
}

// readOwnership reads the set out of meta. What cannot be read owns nothing: better an export that stays than a human's
// that goes.
func readOwnership(meta map[string]string) map[export]bool {
	text := meta[metaExports]
	for i := 1; i < metaKeysOurs && meta[ownershipKey(i)] != ""; i++ {
		text += meta[ownershipKey(i)]
	}
	if rest, ok := strings.CutPrefix(text, packed); ok {
		raw, err := base64.RawURLEncoding.DecodeString(rest)
		if err != nil {
			return map[export]bool{}
		}
		unpacked, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(raw)), ownershipMax))
		if err != nil || len(unpacked) == ownershipMax {
			return map[export]bool{}
		}
		text = string(unpacked)
	}
	var groups ownership
	if err := json.Unmarshal([]byte(text), &groups); err != nil {
		return map[export]bool{}
	}
	owned := map[export]bool{}
	pairs := 0
	for _, g := range groups {
		if pairs += len(g.Services) * len(g.Peers); pairs > ownedMax {
			return map[export]bool{}
		}
		for _, s := range g.Services {
			namespace, name, ok := strings.Cut(s, "/")
			if !ok {
				namespace, name = defaultNamespace, s
			}
			for _, p := range g.Peers {
				owned[export{namespace, name, p}] = true
			}
		}
	}
	return owned
}

func group(owned map[export]bool) ownership {
	peers := map[string][]string{}
	for e := range owned {
		service := e.Service
		if e.Namespace != defaultNamespace {
			service = e.Namespace + "/" + e.Service
		}
		peers[service] = append(peers[service], e.Peer)
	}
	groups := map[string]*ownedGroup{}
	for service, p := range peers {
		slices.Sort(p)
		key := strings.Join(p, ",")
		if groups[key] == nil {
			groups[key] = &ownedGroup{Peers: p}
		}
		groups[key].Services = append(groups[key].Services, service)
	}
	var out ownership
	for _, g := range groups {
		slices.Sort(g.Services)
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b ownedGroup) int { return cmp.Compare(a.Services[0], b.Services[0]) })
	return out
}
