package server_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server"
	"isthmus/server/auth"
)

// served are all RPCs that a server says it has, by reflection.
func served(t *testing.T, n *node) map[string]protoreflect.MethodDescriptor {
	t.Helper()
	stream, err := reflectionv1.NewServerReflectionClient(n.shared()).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(r *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	list := ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	out := map[string]protoreflect.MethodDescriptor{}
	for _, service := range list.GetListServicesResponse().GetService() {
		name := protoreflect.FullName(service.GetName())
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			file := ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service.GetName()}})
			parsed := &descriptorpb.FileDescriptorProto{}
			if err := proto.Unmarshal(file.GetFileDescriptorResponse().GetFileDescriptorProto()[0], parsed); err != nil {
				t.Fatal(err)
			}
			built, err := protodesc.NewFile(parsed, protoregistry.GlobalFiles)
			if err != nil {
				t.Fatal(err)
			}
			d = built.Services().ByName(name.Name())
		}
		methods := d.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			out["/"+string(name)+"/"+string(methods.Get(i).Name())] = methods.Get(i)
		}
	}
	for method, d := range overREST() {
		if out[method] != nil {
			t.Errorf("%s is of use to browsers only, and is served to the network", method)
		}
		out[method] = d
	}
	return out
}

// overREST are the RPCs that only REST serves.
func overREST() map[string]protoreflect.MethodDescriptor {
	out := map[string]protoreflect.MethodDescriptor{}
	d := isthmusv1.File_isthmus_v1_session_proto.Services().ByName("SessionService")
	for i := range d.Methods().Len() {
		out["/"+string(d.FullName())+"/"+string(d.Methods().Get(i).Name())] = d.Methods().Get(i)
	}
	return out
}

// invokeREST calls an RPC with an empty request over REST, and tells its answer as gRPC would.
func (n *node) invokeREST(who caller, d protoreflect.MethodDescriptor) error {
	n.t.Helper()
	rule := proto.GetExtension(d.Options(), annotations.E_Http).(*annotations.HttpRule)
	method, path, body := http.MethodGet, rule.GetGet(), ""
	switch {
	case rule.GetPost() != "":
		method, path, body = http.MethodPost, rule.GetPost(), "{}"
	case rule.GetDelete() != "":
		method, path = http.MethodDelete, rule.GetDelete()
	}
	a := n.callAs(who.token, method, path, body, "Content-Type", "application/json")
	if a.status == http.StatusOK {
		return nil
	}
	got := a.fields(n.t)
	return status.Error(codes.Code(got["code"].(float64)), got["message"].(string))
}

func TestEveryRPCIsInTheTableOfRoles(t *testing.T) {
	t.Parallel()
	n := start(t)
	methods := served(t, n)
	if len(methods) < 50 {
		t.Fatalf("the server says that it has only %d RPCs", len(methods))
	}
	listed := map[string]bool{}
	for _, rule := range auth.Rules() {
		if listed[rule.Method] {
			t.Errorf("%s is in the table twice", rule.Method)
		}
		listed[rule.Method] = true
		if _, ok := methods[rule.Method]; !ok {
			t.Errorf("%s is in the table, but no server has it", rule.Method)
		}
		if len(rule.Roles) == 0 {
			t.Errorf("nobody may call %s", rule.Method)
		}
	}
	for method := range methods {
		if !listed[method] {
			t.Errorf("%s is served, but not in the table of roles", method)
		}
	}
}

// caller is one way to call a server.
type caller struct {
	conn *grpc.ClientConn
	ctx  context.Context //nolint:containedctx // it carries the caller's token.
	// token is empty for those who have a certificate, or nothing.
	token string
}

// callers makes one of each role, with real credentials over real connections.
func callers(t *testing.T) (*node, map[auth.Role]caller) {
	t.Helper()
	clock := newClock()
	n := start(t, func(c *server.Config) { c.Now = clock.now })
	fleet := fleetKey(t)
	out := map[auth.Role]caller{auth.Anonymous: {n.shared(), t.Context(), ""}}
	for _, role := range []auth.Role{auth.Admin, auth.Operator, auth.Viewer} {
		token := n.apiToken(string(role))
		out[role] = caller{n.shared(), n.as(token), token}
	}
	expired := n.enrol(newWorld(), fleet, "dc3")
	clock.advance(identity.AgentCertificateLife + time.Hour)
	out[auth.ExpiredAgent] = caller{expired.conn, t.Context(), ""}
	out[auth.Agent] = caller{n.enrolAt(clock.now(), fleet, "dc1", identity.KindAgent).conn, t.Context(), ""}
	out[auth.Gateway] = caller{n.enrolAt(clock.now(), fleet, "dc2", identity.KindGateway).conn, t.Context(), ""}
	return n, out
}

// apiToken makes an API token of a role.
func (n *node) apiToken(role string) string {
	n.t.Helper()
	made, err := isthmusv1.NewAPITokenServiceClient(n.shared()).CreateAPIToken(n.as(n.token), &isthmusv1.CreateAPITokenRequest{
		ApiToken: &isthmusv1.APIToken{Spec: &isthmusv1.APITokenSpec{Role: role}},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return made.GetSecret()
}

func TestEveryRPCWithEveryRole(t *testing.T) {
	t.Parallel()
	n, callers := callers(t)
	methods, browsers := served(t, n), overREST()
	for _, rule := range auth.Rules() {
		d := methods[rule.Method]
		for _, role := range auth.Roles() {
			who := callers[role]
			if browsers[rule.Method] != nil {
				if err := n.invokeREST(who, d); isRefusal(err) == (slices.Contains(rule.Roles, role) || slices.Contains(rule.Roles, auth.Anonymous)) {
					t.Errorf("%s as %s: the answer is %v", rule.Method, role, err)
				}
				continue
			}
			err := invoke(t, who, rule.Method, d)
			refused := isRefusal(err)
			if allowed := slices.Contains(rule.Roles, role) || slices.Contains(rule.Roles, auth.Anonymous); allowed == refused {
				t.Errorf("%s as %s: allowed is %t, but the answer is %v", rule.Method, role, allowed, err)
			}
			if refused && role == auth.Anonymous && status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s without credentials: %v; want Unauthenticated", rule.Method, err)
			}
			if refused && role == auth.ExpiredAgent && reason(err) != identity.ReasonCertificateExpired {
				t.Errorf("%s with an expired certificate: %v; want reason %s", rule.Method, err, identity.ReasonCertificateExpired)
			}
		}
	}
}

// isRefusal tells a refusal of the guard from an error of the service, which refuses enrolments too.
func isRefusal(err error) bool {
	switch status.Code(err) { //nolint:exhaustive // the others are errors of the services.
	case codes.Unauthenticated:
		return true
	case codes.PermissionDenied:
		return strings.Contains(err.Error(), "may not call")
	}
	return false
}

// invoke calls an RPC with an empty request: what matters is who is let in, not what comes of it.
func invoke(t *testing.T, who caller, method string, d protoreflect.MethodDescriptor) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(who.ctx, patience)
	defer cancel()
	request, response := dynamicpb.NewMessage(d.Input()), dynamicpb.NewMessage(d.Output())
	if field := d.Input().Fields().ByName("wait"); field != nil && field.Kind() == protoreflect.StringKind {
		request.Set(field, protoreflect.ValueOfString("1ms"))
	}
	if !d.IsStreamingClient() && !d.IsStreamingServer() {
		return who.conn.Invoke(ctx, method, request, response)
	}
	stream, err := who.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(request); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(response)
}

func TestCredentialsThatAreNoGood(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *server.Config) { c.Now = clock.now })
	get := func(ctx context.Context) error {
		_, err := isthmusv1.NewServerServiceClient(n.shared()).GetServer(ctx, &isthmusv1.GetServerRequest{})
		return err
	}
	raw := func(value string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", value)
	}
	other := start(t)
	for name, value := range map[string]string{
		"no token":                   "Bearer ",
		"another scheme":             "Basic abc",
		"nonsense":                   "Bearer nonsense",
		"another server's token":     "Bearer " + other.token,
		"a token with a changed end": "Bearer " + n.token[:len(n.token)-1] + map[bool]string{true: "A", false: "B"}[n.token[len(n.token)-1] != 'A'],
	} {
		if err := get(raw(value)); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	revoked := n.apiToken("viewer")
	if err := get(n.as(revoked)); err != nil {
		t.Fatalf("a viewer's token: %v", err)
	}
	name := strings.Split(revoked, "_")[1]
	n.want(200, n.call("DELETE", "/v1/api-tokens/"+name, ""))
	if err := get(n.as(revoked)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a revoked token: %v", err)
	}
	body := `{"name":"short","spec":{"role":"viewer","expireTime":"` + clock.now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}}`
	short := n.want(200, n.call("POST", "/v1/api-tokens", body)).fields(t)["secret"].(string)
	if err := get(n.as(short)); err != nil {
		t.Fatalf("a short token: %v", err)
	}
	clock.advance(2 * time.Hour)
	if err := get(n.as(short)); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired token: %v", err)
	}
	if a := n.call("DELETE", "/v1/api-tokens/admin", ""); a.status != 400 || !strings.Contains(a.body, "last admin") {
		t.Errorf("deleting the last admin token: %d %s", a.status, a.body)
	}
	if a := n.call("GET", "/v1/api-tokens/admin", ""); strings.Contains(a.body, "secretHash\":\"") && !strings.Contains(a.body, `"secretHash":""`) {
		t.Errorf("the hash of a secret is shown: %s", a.body)
	}
}
