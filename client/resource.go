package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// pageSize is what lists ask for at a time: the most that a server gives.
const pageSize = 1000

// ListOptions choose what a list holds.
type ListOptions struct {
	// Selector is a label selector; empty chooses everything.
	Selector string
}

// Get reads one resource. NotFound: there is none of that name.
func (c *Client) Get(ctx context.Context, kind resource.Kind, name string) (resource.Object, error) {
	o := kind.New()
	if _, err := c.do(ctx, call{method: http.MethodGet, path: pathOf(kind, name)}, o); err != nil {
		return nil, err
	}
	return o, nil
}

// Lookup reads one resource of a type that is known when compiling.
func Lookup[T resource.Object](ctx context.Context, c *Client, name string) (T, error) {
	var none T
	o, err := c.Get(ctx, kindOf[T](), name)
	if err != nil {
		return none, err
	}
	return o.(T), nil
}

// List visits all resources of a kind in order of their names, page by page. It ends with the first error.
func (c *Client) List(ctx context.Context, kind resource.Kind, options ListOptions) iter.Seq2[resource.Object, error] {
	return func(yield func(resource.Object, error) bool) {
		token := ""
		for {
			page, err := c.page(ctx, kind, options, token, nil)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, o := range page.objects {
				if !yield(o, nil) {
					return
				}
			}
			if token = page.next; token == "" {
				return
			}
		}
	}
}

// All is List as a slice.
func (c *Client) All(ctx context.Context, kind resource.Kind, options ListOptions) ([]resource.Object, error) {
	out := []resource.Object{}
	for o, err := range c.List(ctx, kind, options) {
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// AllOf is All for a type that is known when compiling.
func AllOf[T resource.Object](ctx context.Context, c *Client) ([]T, error) {
	var out []T
	for o, err := range c.List(ctx, kindOf[T](), ListOptions{}) {
		if err != nil {
			return nil, err
		}
		out = append(out, o.(T))
	}
	return out, nil
}

func kindOf[T resource.Object]() resource.Kind {
	var zero T
	return resource.KindOf(zero)
}

type page struct {
	objects []resource.Object
	next    string
	index   uint64
}

// page reads one page; blocking adds a blocking query's parameters.
func (c *Client) page(ctx context.Context, kind resource.Kind, options ListOptions, token string, blocking *blocking) (page, error) {
	query := url.Values{"pageSize": {strconv.Itoa(pageSize)}}
	if options.Selector != "" {
		query.Set("selector", options.Selector)
	}
	if token != "" {
		query.Set("pageToken", token)
	}
	request := call{method: http.MethodGet, path: pathOf(kind), query: query}
	blocking.addTo(&request)
	answer, err := c.raw(ctx, request)
	if err != nil {
		return page{}, err
	}
	return answer.page(kind)
}

// Create makes one resource. AlreadyExists: there is one of that name.
func (c *Client) Create(ctx context.Context, o resource.Object) (resource.Object, error) {
	kind := resource.KindOf(o)
	created := kind.New()
	if _, err := c.do(ctx, call{method: http.MethodPost, path: pathOf(kind), body: o}, created); err != nil {
		return nil, err
	}
	c.remember(created.GetIndex())
	return created, nil
}

// Update writes the fields that mask names (spec.adopt), and leaves the others of the resource of that name as they are.
func (c *Client) Update(ctx context.Context, o resource.Object, mask ...string) (resource.Object, error) {
	kind := resource.KindOf(o)
	updated := kind.New()
	query := url.Values{"updateMask": {strings.Join(mask, ",")}}
	if _, err := c.do(ctx, call{method: http.MethodPatch, path: pathOf(kind, o.GetName()), query: query, body: o}, updated); err != nil {
		return nil, err
	}
	c.remember(updated.GetIndex())
	return updated, nil
}

// DeleteOptions are the conditions of a deletion.
type DeleteOptions struct {
	// Index that the resource must still have; 0: any.
	Index uint64
	// Force deletes although a limit or a silent datacenter stands against it.
	Force bool
}

// Outcomes of Delete.
const (
	// Deleted: it is gone.
	Deleted = "deleted"
	// Deleting: its ends in Consul are being removed, and it goes when they are gone.
	Deleting = "deleting"
)

// Delete deletes one resource and says what became of it: Deleted or Deleting.
func (c *Client) Delete(ctx context.Context, kind resource.Kind, name string, options DeleteOptions) (string, error) {
	query := url.Values{}
	if options.Index > 0 {
		query.Set("index", strconv.FormatUint(options.Index, 10))
	}
	if options.Force {
		query.Set("force", "true")
	}
	out := &isthmusv1.DeleteResponse{}
	if _, err := c.do(ctx, call{method: http.MethodDelete, path: pathOf(kind, name), query: query}, out); err != nil {
		return "", err
	}
	return out.GetOutcome(), nil
}

// ApplyOptions say how a set of manifests is applied.
type ApplyOptions struct {
	// DryRun only tells what would change.
	DryRun bool
	// Force accepts that groups delete more peerings than their limit.
	Force bool
}

// Apply stores a set of manifests, all or nothing.
func (c *Client) Apply(ctx context.Context, manifests []byte, options ApplyOptions) (*isthmusv1.ApplyResponse, error) {
	body := &isthmusv1.ApplyRequest{Manifests: string(manifests), DryRun: options.DryRun, Force: options.Force}
	out := &isthmusv1.ApplyResponse{}
	if _, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/apply", body: body}, out); err != nil {
		return nil, err
	}
	c.remember(out.GetIndex())
	return out, nil
}

// Server tells what the server is and who the caller is to it.
func (c *Client) Server(ctx context.Context) (*isthmusv1.ServerInfo, error) {
	out := &isthmusv1.ServerInfo{}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/server"}, out)
	return out, err
}

// RotatePeering asks for a new token for a peering.
func (c *Client) RotatePeering(ctx context.Context, name string) (*isthmusv1.Peering, error) {
	return act(ctx, c, "rotate", name, &isthmusv1.RotatePeeringRequest{Name: name}, &isthmusv1.Peering{})
}

// HealPeering asks for the next step of healing a peering whose stream hangs.
func (c *Client) HealPeering(ctx context.Context, name string) (*isthmusv1.Peering, error) {
	return act(ctx, c, "heal", name, &isthmusv1.HealPeeringRequest{Name: name}, &isthmusv1.Peering{})
}

// ImportPeering brings in the sealed token of an external acceptor.
func (c *Client) ImportPeering(ctx context.Context, name string, payload *isthmusv1.SealedPayload) (*isthmusv1.Peering, error) {
	return act(ctx, c, "import", name, &isthmusv1.ImportPeeringRequest{Name: name, Payload: payload}, &isthmusv1.Peering{})
}

// ConfirmDatacenter lets a datacenter's agents go on removing after a restore of the store.
func (c *Client) ConfirmDatacenter(ctx context.Context, name string) (*isthmusv1.Datacenter, error) {
	return act(ctx, c, "confirm", name, &isthmusv1.ConfirmDatacenterRequest{Name: name}, &isthmusv1.Datacenter{})
}

// RemoveDatacenter takes a datacenter out of the fleet, or tells what that would do: a dry run. Refused: something stands against it, or the
// plan digest is not that of what would be done now. Of one that is being removed already it tells how far it is.
func (c *Client) RemoveDatacenter(ctx context.Context, r *isthmusv1.RemoveDatacenterRequest) (*isthmusv1.DatacenterRemoval, error) {
	kind, _ := resource.KindNamed(resource.KindDatacenter)
	out := &isthmusv1.DatacenterRemoval{}
	index, err := c.do(ctx, call{method: http.MethodPost, path: pathOf(kind, r.GetName()) + ":remove", body: r}, out)
	if err == nil {
		c.remember(index)
	}
	return out, err
}

// ApproveAgent trusts an agent's keys.
func (c *Client) ApproveAgent(ctx context.Context, name string, approval *isthmusv1.Approval) (*isthmusv1.Agent, error) {
	return act(ctx, c, "approve", name, &isthmusv1.ApproveAgentRequest{Name: name, Approval: approval}, &isthmusv1.Agent{})
}

// act calls a custom method of one resource: POST /v1/<plural>/<name>:<verb>.
func act[T resource.Object](ctx context.Context, c *Client, verb, name string, body proto.Message, out T) (T, error) {
	if _, err := c.do(ctx, call{method: http.MethodPost, path: pathOf(resource.KindOf(out), name) + ":" + verb, body: body}, out); err != nil {
		return out, err
	}
	c.remember(out.GetIndex())
	return out, nil
}

// MintJoinToken has the server make a join token, which the fleet key does not vouch for.
func (c *Client) MintJoinToken(ctx context.Context, r *isthmusv1.MintJoinTokenRequest) (*isthmusv1.MintJoinTokenResponse, error) {
	out := &isthmusv1.MintJoinTokenResponse{}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/join-tokens:mint", body: r}, out)
	return out, err
}

// CreateAPIToken makes an API token; its secret is in the answer and nowhere else.
func (c *Client) CreateAPIToken(ctx context.Context, token *isthmusv1.APIToken) (*isthmusv1.CreateAPITokenResponse, error) {
	out := &isthmusv1.CreateAPITokenResponse{}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/api-tokens", body: token}, out)
	return out, err
}

// Services are those that a datacenter's agent saw last, imported ones included.
func (c *Client) Services(ctx context.Context, datacenter string) (*isthmusv1.ListDatacenterServicesResponse, error) {
	kind, ok := resource.KindNamed(resource.KindDatacenter)
	if !ok {
		return nil, fault.New(fault.Internal, "there is no kind %s", resource.KindDatacenter)
	}
	out := &isthmusv1.ListDatacenterServicesResponse{}
	_, err := c.do(ctx, call{method: http.MethodGet, path: pathOf(kind, datacenter) + "/services"}, out)
	return out, err
}

// FleetServices are the services of all datacenters whose names have a part, by name; with a datacenter, those that it has or sees.
func (c *Client) FleetServices(ctx context.Context, part, datacenter string) ([]*isthmusv1.FleetService, error) {
	query := url.Values{"pageSize": {"1000"}}
	if part != "" {
		query.Set("query", part)
	}
	if datacenter != "" {
		query.Set("datacenter", datacenter)
	}
	var out []*isthmusv1.FleetService
	for {
		page := &isthmusv1.ListServicesResponse{}
		if _, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/services", query: query}, page); err != nil {
			return nil, err
		}
		out = append(out, page.GetServices()...)
		if page.GetNextPageToken() == "" {
			return out, nil
		}
		query.Set("pageToken", page.GetNextPageToken())
	}
}

// pathOf is the path of a kind's collection, or of one resource in it.
func pathOf(kind resource.Kind, name ...string) string {
	segments := []string{"/v1", kind.Plural}
	for _, n := range name {
		segments = append(segments, url.PathEscape(n))
	}
	return strings.Join(segments, "/")
}

// fieldOf is the member of a list's answer that holds the resources: peering-groups → peeringGroups.
func fieldOf(kind resource.Kind) string {
	words := strings.Split(kind.Plural, "-")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}
