package consul

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

// Kinds of config entries that isthmus merges into. There is one entry of each, shared with everybody.
const (
	KindExportedServices = api.ExportedServices
	KindMesh             = api.MeshConfig
	KindProxyDefaults    = api.ProxyDefaults
)

// Names of the single entries. That of the exported-services entry is the partition's.
const (
	NameMesh          = api.MeshConfigMesh
	NameProxyDefaults = api.ProxyConfigGlobal
)

// Entry is one config entry with everything in it, what this binary does not know included: whoever writes it back loses
// nothing of others.
type Entry struct {
	Kind, Name string
	// Index is the ModifyIndex; 0: it does not exist.
	Index uint64
	// Body is the entry's JSON but for the indexes.
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
func (e entryJSON) GetNamespace() string       { return "" }
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
	return json.Marshal(body) //nolint:wrapcheck // the encoder wraps it
}

// Entries are all of a kind. (Consul answers a query for one absent entry with an error and no index, so only lists can be
// watched.)
func (c *Client) Entries(ctx context.Context, kind string, q Query) ([]Entry, uint64, error) {
	var list []map[string]any
	index, err := c.read(ctx, "reading config entries "+kind, q, func(a *api.Client, o *api.QueryOptions) (*api.QueryMeta, error) {
		return a.Raw().Query("/v1/config/"+kind, &list, o)
	})
	out := make([]Entry, 0, len(list))
	for _, body := range list {
		out = append(out, entryOf(kind, body))
	}
	return out, index, err
}

func entryOf(kind string, body map[string]any) Entry {
	e := Entry{Kind: kind, Name: NameMesh, Body: body}
	if name, ok := body["Name"].(string); ok {
		e.Name = name
	}
	if index, ok := body["ModifyIndex"].(float64); ok {
		e.Index = uint64(index)
	}
	for _, field := range []string{"CreateIndex", "ModifyIndex", "Hash"} {
		delete(body, field)
	}
	return e
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
