package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"

	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

// Kinds of config entries that isthmus merges into, and there is one entry of each, shared with everybody.
const (
	KindExportedServices = api.ExportedServices
	KindMesh             = api.MeshConfig
	KindProxyDefaults    = api.ProxyDefaults
)

// Kinds of which there is one entry for each service.
const (
	KindIntentions      = api.ServiceIntentions
	KindResolver        = api.ServiceResolver
	KindSplitter        = api.ServiceSplitter
	KindRouter          = api.ServiceRouter
	KindServiceDefaults = api.ServiceDefaults
)

// DefaultNamespace is the namespace of those who name none, and the only one without Consul Enterprise.
const DefaultNamespace = "default"

// Names of the single entries. That of the exported-services entry is the partition's.
const (
	NameMesh          = api.MeshConfigMesh
	NameProxyDefaults = api.ProxyConfigGlobal
)

// Entry is one config entry with everything in it, what this binary does not know included: whoever writes it back loses
// nothing of others.
type Entry struct {
	Kind, Name string
	// Namespace is empty for the default one.
	Namespace string
	// Index is the ModifyIndex; 0: it does not exist.
	Index uint64
	// Body is the entry's JSON but for the indexes, with numbers as they are written (json.Number).
	Body map[string]any
}

// Meta is the entry's meta data; changing what it returns changes nothing.
func (e Entry) Meta() map[string]string {
	out := map[string]string{}
	fields, _ := e.Body["Meta"].(map[string]any)
	for k, v := range fields {
		if text, ok := v.(string); ok {
			out[k] = text
		}
	}
	return out
}

// SetMeta replaces the entry's meta data; without any, the field goes.
func (e Entry) SetMeta(meta map[string]string) {
	if len(meta) == 0 {
		delete(e.Body, "Meta")
		return
	}
	fields := make(map[string]any, len(meta))
	for k, v := range meta {
		fields[k] = v
	}
	e.Body["Meta"] = fields
}

// entryJSON lets consul/api write an entry as it is.
type entryJSON struct{ Entry }

func (e entryJSON) GetKind() string            { return e.Kind }
func (e entryJSON) GetName() string            { return e.Name }
func (e entryJSON) GetPartition() string       { return "" }
func (e entryJSON) GetNamespace() string       { return e.Namespace }
func (e entryJSON) GetMeta() map[string]string { return e.Meta() }
func (e entryJSON) GetCreateIndex() uint64     { return 0 }
func (e entryJSON) GetModifyIndex() uint64     { return e.Index }

// MarshalJSON is the body with the kind.
func (e entryJSON) MarshalJSON() ([]byte, error) {
	body := maps.Clone(e.Body)
	body["Kind"] = e.Kind
	if e.Kind != KindMesh {
		body["Name"] = e.Name
	}
	if e.Namespace != "" {
		body["Namespace"] = e.Namespace
	}
	return json.Marshal(body) //nolint:wrapcheck // the encoder wraps it
}

// EntryList is all of a kind that the token may see.
type EntryList struct {
	Entries []Entry
	// Index is what to wait on for the next change.
	Index uint64
	// Filtered: there are more, which the token may not see.
	Filtered bool
}

// EntryList reads all of a kind, of all namespaces. (Consul answers a query for one absent entry with an error and no index, so only lists
// can be watched.)
func (c *Client) EntryList(ctx context.Context, kind string, q Query) (EntryList, error) {
	var list []json.RawMessage
	var out EntryList
	index, err := c.read(ctx, "reading config entries "+kind, q, func(a *api.Client, o *api.QueryOptions) (*api.QueryMeta, error) {
		if c.enterprise.Load() && ofService(kind) {
			o.Namespace = "*"
		}
		list = nil
		meta, err := a.Raw().Query("/v1/config/"+kind, &list, o)
		if meta != nil {
			out.Filtered = meta.ResultsFilteredByACLs
		}
		return meta, err
	})
	if err != nil {
		return EntryList{}, err
	}
	out.Index, out.Entries = index, make([]Entry, 0, len(list))
	for _, text := range list {
		e, err := entryOf(kind, text)
		if err != nil {
			return EntryList{}, err
		}
		out.Entries = append(out.Entries, e)
	}
	return out, nil
}

// Entries is EntryList for those who need no more.
func (c *Client) Entries(ctx context.Context, kind string, q Query) ([]Entry, uint64, error) {
	list, err := c.EntryList(ctx, kind, q)
	return list.Entries, list.Index, err
}

// ofService tells whether there is one entry of a kind for each service.
func ofService(kind string) bool {
	switch kind {
	case KindIntentions, KindResolver, KindSplitter, KindRouter, KindServiceDefaults:
		return true
	}
	return false
}

func entryOf(kind string, text []byte) (Entry, error) {
	e := Entry{Kind: kind, Name: NameMesh}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // a number that is read and written back stays what it was
	if err := decoder.Decode(&e.Body); err != nil {
		return Entry{}, fault.Wrap(fault.Unavailable, &Problem{Reason: Other, Text: err.Error()}, "reading config entries %s: Consul answers with something else", kind)
	}
	if name, ok := e.Body["Name"].(string); ok {
		e.Name = name
	}
	if namespace, ok := e.Body["Namespace"].(string); ok && namespace != DefaultNamespace {
		e.Namespace = namespace
	}
	if index, ok := e.Body["ModifyIndex"].(json.Number); ok {
		n, err := index.Int64()
		if err == nil && n > 0 {
			e.Index = uint64(n)
		}
	}
	for _, field := range []string{"CreateIndex", "ModifyIndex", "Hash"} {
		delete(e.Body, field)
	}
	return e, nil
}

// ServiceEntry reads the entry of one service as it is now. One that does not exist has Index 0 and an empty body.
func (c *Client) ServiceEntry(ctx context.Context, kind, namespace, name string) (Entry, error) {
	absent := Entry{Kind: kind, Name: name, Namespace: namespace, Body: map[string]any{}}
	var text json.RawMessage
	_, err := c.read(ctx, "reading config entry "+kind+"/"+name, Query{}, func(a *api.Client, o *api.QueryOptions) (*api.QueryMeta, error) {
		o.Namespace = namespace
		return a.Raw().Query("/v1/config/"+kind+"/"+name, &text, o)
	})
	var p *Problem
	switch {
	case errors.As(err, &p) && p.status == http.StatusNotFound:
		return absent, nil
	case err != nil:
		return Entry{}, err
	}
	return entryOf(kind, text)
}

// Entry reads one. One that does not exist has Index 0 and an empty body.
func (c *Client) Entry(ctx context.Context, kind, name string) (Entry, error) {
	list, _, err := c.Entries(ctx, kind, Query{})
	if err != nil {
		return Entry{}, err
	}
	for _, e := range list {
		if e.Name == name {
			return e, nil
		}
	}
	return Entry{Kind: kind, Name: name, Body: map[string]any{}}, nil
}

// PutEntry writes an entry if it still has its Index (0: if it does not exist). Conflict when it has not: read it again.
// Consul accepts a write of the same content at any index.
func (c *Client) PutEntry(ctx context.Context, e Entry) error {
	return c.swap(ctx, "writing config entry "+e.Kind+"/"+e.Name, func(a *api.Client, w *api.WriteOptions) (bool, error) {
		ok, _, err := a.ConfigEntries().CAS(entryJSON{e}, e.Index, w)
		return ok, err
	})
}

// DeleteEntry deletes an entry if it still has its Index. Conflict when it has not.
func (c *Client) DeleteEntry(ctx context.Context, e Entry) error {
	return c.swap(ctx, "deleting config entry "+e.Kind+"/"+e.Name, func(a *api.Client, w *api.WriteOptions) (bool, error) {
		w.Namespace = e.Namespace
		ok, _, err := a.ConfigEntries().DeleteCAS(e.Kind, e.Name, e.Index, w)
		return ok, err
	})
}

// swap is a check-and-set, which Consul answers with 200 whether it did it or not: the answer's word counts.
func (c *Client) swap(ctx context.Context, doing string, write func(a *api.Client, w *api.WriteOptions) (bool, error)) error {
	done := false
	err := c.do(ctx, doing, func(ctx context.Context, a *api.Client) (err error) {
		done, err = write(a, writing(ctx))
		return err
	})
	if err == nil && !done {
		return fault.New(fault.Conflict, "%s: it was changed meanwhile", doing)
	}
	return err
}
