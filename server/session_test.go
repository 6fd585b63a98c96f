package server_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server"
	"isthmus/server/auth"
	"isthmus/server/session"
	"isthmus/test/pgtest"
)

const jsonType = "application/json"

// browser is somebody who logged in with one.
type browser struct {
	n      *node
	cookie string
	csrf   string
}

// login sends an API token as the dashboard does.
func (n *node) login(token string, header ...string) answer {
	n.t.Helper()
	return n.callAs("", http.MethodPost, "/v1/session", `{"token":"`+token+`"}`, append([]string{"Content-Type", jsonType}, header...)...)
}

// browse logs in.
func (n *node) browse(token string) *browser {
	n.t.Helper()
	a := n.want(http.StatusOK, n.login(token))
	return &browser{n: n, cookie: cookieOf(n.t, a), csrf: a.fields(n.t)["csrfToken"].(string)}
}

// cookieOf is what an answer sets, as a request shows it.
func cookieOf(t testing.TB, a answer) string {
	t.Helper()
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 {
		t.Fatalf("the answer sets %d cookies: %d %s", len(cookies), a.status, a.body)
	}
	return cookies[0].Name + "=" + cookies[0].Value
}

// at is the same browser at another server.
func (b *browser) at(n *node) *browser { return &browser{n: n, cookie: b.cookie, csrf: b.csrf} }

// call makes a request as the dashboard does.
func (b *browser) call(method, path, body string, header ...string) answer {
	b.n.t.Helper()
	own := []string{"Cookie", b.cookie, "Content-Type", jsonType, "X-Isthmus-CSRF", b.csrf, "Origin", b.n.URL(), "Sec-Fetch-Site", "same-origin"}
	return b.n.callAs("", method, path, body, append(own, header...)...)
}

// gone expects that the session has ended, and that the browser is told to forget it.
func (b *browser) gone(why string) {
	b.n.t.Helper()
	a := b.n.want(http.StatusUnauthorized, b.call(http.MethodGet, "/v1/datacenters", ""))
	if !strings.Contains(a.body, why) || !strings.Contains(a.body, auth.ReasonSessionEnded) {
		b.n.t.Errorf("the session ended otherwise than because %q: %s", why, a.body)
	}
	if set := a.header.Get("Set-Cookie"); !strings.Contains(set, "_session=;") || !strings.Contains(set, "Max-Age=0") {
		b.n.t.Errorf("the browser keeps the cookie of a session that has ended: %q", set)
	}
}

// lives expects that the session is good.
func (b *browser) lives() map[string]any {
	b.n.t.Helper()
	return b.n.want(http.StatusOK, b.call(http.MethodGet, "/v1/session", "")).fields(b.n.t)
}

// events are the specs of all entries of the audit log.
func (n *node) events() []map[string]any {
	n.t.Helper()
	var out []map[string]any
	for _, e := range n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events?pageSize=1000", "")).fields(n.t)["events"].([]any) {
		out = append(out, e.(map[string]any)["spec"].(map[string]any))
	}
	return out
}

func TestSession(t *testing.T) {
	t.Parallel()
	n := start(t)
	token := n.apiToken("operator")
	name := strings.Split(token, "_")[1]
	n.want(http.StatusUnauthorized, n.callAs("", http.MethodGet, "/v1/session", ""))
	a := n.want(http.StatusOK, n.login(token))
	set := a.header.Get("Set-Cookie")
	if !strings.HasPrefix(set, "isthmus_session=") || !strings.Contains(set, "; Path=/; HttpOnly; SameSite=Strict") || strings.Contains(set, "Secure") ||
		strings.Contains(set, "Domain") {
		t.Errorf("the cookie is %s", set)
	}
	if strings.Contains(set+a.body, token) || strings.Contains(set+a.body, strings.SplitN(token, "_", 3)[2]) {
		t.Error("the API token is in the cookie, or in the answer")
	}
	b := n.browse(token)
	if got := b.lives(); got["actor"] != "api-token/"+name || got["role"] != "operator" || got["csrfToken"] != "" {
		t.Errorf("the session is %v", got)
	}
	n.want(http.StatusOK, b.call(http.MethodPost, "/v1/datacenters", `{"name":"dc1","spec":{"runtime":"vm"}}`))
	n.want(http.StatusOK, b.call(http.MethodGet, "/v1/datacenters/dc1", ""))
	n.want(http.StatusForbidden, b.call(http.MethodGet, "/v1/api-tokens", ""))
	other := n.browse(token)
	n.want(http.StatusOK, b.call(http.MethodDelete, "/v1/session", ""))
	b.gone("logged out")
	other.lives()
	var told []string
	for _, spec := range n.events() {
		if spec["actor"] != "api-token/"+name {
			continue
		}
		told = append(told, fmt.Sprint(spec["action"], " ", spec["kind"], "/", spec["target"], " as ", spec["role"]))
	}
	login := "login APIToken/" + name + " as operator"
	want := []string{login, login, "create Datacenter/dc1 as operator", login, "logout APIToken/" + name + " as operator"}
	if strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("the audit log says\n%s", strings.Join(told, "\n"))
	}
}

// A session ends when nobody renews it, however much is read, and in any case after twelve hours.
func TestSessionEndsByTime(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *server.Config) { c.Now, c.SessionIdle = clock.now, 10*time.Minute })
	idle, busy := n.browse(n.token), n.browse(n.token)
	renew := func() {
		t.Helper()
		a := n.want(http.StatusOK, busy.call(http.MethodPost, "/v1/session:renew", "{}"))
		busy.cookie = cookieOf(t, a)
		if a.fields(t)["csrfToken"] != "" {
			t.Error("a renewal tells what only the login tells")
		}
	}
	clock.advance(9 * time.Minute)
	idle.lives()
	n.want(http.StatusOK, idle.call(http.MethodGet, "/v1/datacenters", ""))
	renew()
	clock.advance(2 * time.Minute)
	idle.gone("nobody used it for 10m")
	busy.lives()
	for range 78 { // 9 min. each
		renew()
		clock.advance(9 * time.Minute)
	}
	renew()
	if got := busy.lives(); got["expireTime"] != got["endTime"] {
		t.Errorf("%v: it says that it can be renewed beyond its end", got)
	}
	clock.advance(8 * time.Minute)
	busy.gone("has reached its end")
}

// A session is worth nothing without its API token.
func TestSessionEndsWithItsToken(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *server.Config) { c.Now = clock.now })
	create := func(spec string) *browser {
		t.Helper()
		made := n.want(http.StatusOK, n.call(http.MethodPost, "/v1/api-tokens", `{"name":"alice","spec":{"role":"viewer"`+spec+`}}`))
		return n.browse(made.fields(t)["secret"].(string))
	}
	first := create("")
	first.lives()
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/api-tokens/alice", ""))
	first.gone("API token alice was revoked")
	end := clock.now().Add(time.Minute).UTC().Truncate(time.Second)
	second := create(`,"expireTime":"` + end.Format(time.RFC3339) + `"`)
	if got := second.lives(); got["endTime"] != end.Format(time.RFC3339) || got["expireTime"] != got["endTime"] {
		t.Errorf("the session outlives its token's end, %s: %v", end, got)
	}
	first.gone("API token alice was revoked")
	clock.advance(2 * time.Minute)
	second.gone("has reached its end")
}

// Whatever another site makes a browser send, it changes nothing.
func TestForgedRequests(t *testing.T) {
	t.Parallel()
	n := start(t)
	b, other := n.browse(n.token), n.browse(n.token)
	for name, c := range map[string]struct {
		header []string
		say    string
	}{
		"without the header":            {[]string{"X-Isthmus-CSRF", ""}, "X-Isthmus-CSRF"},
		"with another session's header": {[]string{"X-Isthmus-CSRF", other.csrf}, "X-Isthmus-CSRF"},
		"from another site":             {[]string{"Sec-Fetch-Site", "cross-site"}, "Origin"},
		"from the same site's other":    {[]string{"Sec-Fetch-Site", "same-site"}, "Origin"},
		"from another origin":           {[]string{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, "Origin"},
		"from nowhere":                  {[]string{"Sec-Fetch-Site", "", "Origin", "null"}, "Origin"},
	} {
		for _, route := range []string{"POST /v1/datacenters", "POST /v1/apply", "DELETE /v1/session", "POST /v1/session:renew", "DELETE /v1/datacenters/dc1"} {
			method, path, _ := strings.Cut(route, " ")
			a := b.call(method, path, `{"name":"dc1","spec":{"runtime":"vm"}}`, c.header...)
			if a.status != http.StatusForbidden || !strings.Contains(a.body, c.say) || a.header.Get("Set-Cookie") != "" {
				t.Errorf("%s %s: %d %s", route, name, a.status, a.body)
			}
			if strings.Contains(a.body, b.csrf) {
				t.Errorf("%s %s: the answer tells the secret", route, name)
			}
		}
	}
	b.lives()
	// Cookies go to every port of a host: whoever is sent one there reads nothing with it.
	for _, path := range []string{"/v1/session", "/v1/datacenters", "/v1/fleet", "/v1/events", "/v1/nothing"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, csrf := range []string{"", other.csrf, "nonsense"} {
				a := b.call(method, path, "", "X-Isthmus-CSRF", csrf)
				if a.status != http.StatusForbidden || strings.Contains(a.body, b.csrf) {
					t.Errorf("%s %s with the cookie and %q: %d %s", method, path, csrf, a.status, a.body)
				}
			}
		}
	}
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/datacenters/dc1", ""))
	n.want(http.StatusOK, n.call(http.MethodPost, "/v1/datacenters", `{"name":"dc1","spec":{"runtime":"vm"}}`, "Sec-Fetch-Site", "cross-site"))
	for name, header := range map[string][]string{
		"from another site":   {"Sec-Fetch-Site", "cross-site"},
		"from another origin": {"Origin", "https://evil.example"},
	} {
		if a := n.login(n.token, header...); a.status != http.StatusForbidden || a.header.Get("Set-Cookie") != "" {
			t.Errorf("a login %s: %d %s", name, a.status, a.body)
		}
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense/"} {
		a := n.callAs("", http.MethodPost, "/v1/session", `{"token":"`+n.token+`"}`, "Content-Type", contentType)
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, jsonType) {
			t.Errorf("a login of type %q: %d %s", contentType, a.status, a.body)
		}
	}
}

// Who shows an API token is who it says, whatever cookies come along.
func TestAuthorizationGoesBeforeCookies(t *testing.T) {
	t.Parallel()
	n := start(t)
	admin, viewer := n.browse(n.token), n.apiToken("viewer")
	n.want(http.StatusUnauthorized, admin.call(http.MethodGet, "/v1/datacenters", "", "Authorization", "Bearer nonsense"))
	n.want(http.StatusUnauthorized, admin.call(http.MethodGet, "/v1/datacenters", "", "Authorization", ""))
	n.want(http.StatusForbidden, admin.call(http.MethodGet, "/v1/api-tokens", "", "Authorization", "Bearer "+viewer))
	n.want(http.StatusNotFound, admin.call(http.MethodGet, "/v1/session", "", "Authorization", "Bearer "+viewer))
	n.want(http.StatusOK, n.callAs(viewer, http.MethodGet, "/v1/datacenters", "", "Cookie", "isthmus_session=nonsense"))
	got := n.want(http.StatusOK, n.login(viewer, "Authorization", "Bearer "+n.token, "Cookie", admin.cookie)).fields(t)
	if got["role"] != "viewer" {
		t.Errorf("the token in the body does not count: %v", got)
	}
	// A session is for browsers: what is in a cookie opens nothing elsewhere.
	_, value, _ := strings.Cut(admin.cookie, "=")
	for _, scheme := range []string{"Bearer ", "Session ", ""} {
		n.want(http.StatusUnauthorized, n.callAs("", http.MethodGet, "/v1/datacenters", "", "Authorization", scheme+value))
	}
	for _, header := range []string{"Grpc-Metadata-" + auth.SessionKey, auth.SessionKey} {
		n.want(http.StatusUnauthorized, n.callAs("", http.MethodGet, "/v1/datacenters", "", header, value))
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), auth.SessionKey, value)
	if _, err := isthmusv1.NewServerServiceClient(n.shared()).GetServer(ctx, &isthmusv1.GetServerRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("over the network a session is believed: %v", err)
	}
}

func TestCookiesOfOthers(t *testing.T) {
	t.Parallel()
	n, elsewhere := start(t), start(t)
	b, foreign := n.browse(n.token), elsewhere.browse(elsewhere.token)
	_, value, _ := strings.Cut(b.cookie, "=")
	for name, cookie := range map[string]string{
		"another server's": foreign.cookie,
		"none":             "isthmus_session=",
		"nonsense":         "isthmus_session=nonsense",
		"a long one":       "isthmus_session=" + strings.Repeat("A", 8<<10),
		"another name":     "session=" + value,
		"the name for TLS": "__Host-isthmus_session=" + value,
		"half of one":      b.cookie[:len(b.cookie)/2],
	} {
		a := n.callAs("", http.MethodGet, "/v1/datacenters", "", "Cookie", cookie)
		if a.status != http.StatusUnauthorized || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
	}
	// Cookies know no ports: those of two servers on one host come together.
	n.want(http.StatusOK, b.call(http.MethodGet, "/v1/datacenters", "", "Cookie", foreign.cookie+"; "+b.cookie))
	// One that has ended, which another path or port may have planted, does not stand before a good one.
	ended := n.browse(n.token)
	n.want(http.StatusOK, ended.call(http.MethodDelete, "/v1/session", ""))
	n.want(http.StatusOK, b.call(http.MethodGet, "/v1/datacenters", "", "Cookie", ended.cookie+"; "+b.cookie))
	ended.cookie = foreign.cookie + "; " + ended.cookie + "; isthmus_session=nonsense"
	ended.gone("logged out")
}

// Who has the server key, but not the store, is nobody.
func TestServerKeyAloneMakesNoSession(t *testing.T) {
	t.Parallel()
	n := start(t)
	key, err := identity.LoadServerKey(filepath.Join(n.dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := session.NewKeeper(key, session.DefaultIdle, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	uid := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/api-tokens/admin", "")).fields(t)["uid"].(string)
	secret := sha256.Sum256([]byte(n.token))
	proof := base64.StdEncoding.EncodeToString(secret[:])
	for name, c := range map[string]struct {
		subject auth.Subject
		status  int
	}{
		"with all of it":         {auth.Subject{Kind: auth.SubjectAPIToken, Name: "admin", UID: uid, Proof: proof}, http.StatusOK},
		"without the hash":       {auth.Subject{Kind: auth.SubjectAPIToken, Name: "admin", UID: uid}, http.StatusUnauthorized},
		"with nonsense for it":   {auth.Subject{Kind: auth.SubjectAPIToken, Name: "admin", UID: uid, Proof: "?"}, http.StatusUnauthorized},
		"of an earlier token":    {auth.Subject{Kind: auth.SubjectAPIToken, Name: "admin", UID: "1", Proof: proof}, http.StatusUnauthorized},
		"of a token there isn't": {auth.Subject{Kind: auth.SubjectAPIToken, Name: "nobody", UID: uid, Proof: proof}, http.StatusUnauthorized},
		"of another kind":        {auth.Subject{Kind: "somebody", Name: "admin", UID: uid, Proof: proof}, http.StatusUnauthorized},
	} {
		begun := keeper.Begin(c.subject, time.Time{})
		sealed, err := keeper.Seal(begun)
		if err != nil {
			t.Fatal(err)
		}
		if a := n.callAs("", http.MethodGet, "/v1/datacenters", "", "Cookie", "isthmus_session="+sealed, "X-Isthmus-CSRF", begun.CSRF); a.status != c.status {
			t.Errorf("a session %s: %d %s", name, a.status, a.body)
		}
	}
}

func TestRefusedLogins(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	n := start(t, func(c *server.Config) {
		c.Log = hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: log})
	})
	wrong := n.token[:len(n.token)-4] + "AAAA"
	nobodys := strings.Replace(n.token, "_admin_", "_nobody_", 1)
	for range 40 {
		for _, token := range []string{wrong, nobodys, "nonsense", strings.Repeat("x", 2_000)} {
			a := n.login(token)
			if a.status != http.StatusUnauthorized || a.header.Get("Set-Cookie") != "" || strings.Contains(a.body, token) {
				t.Fatalf("a bad token: %d %s", a.status, a.body)
			}
		}
	}
	if a := n.login(""); a.status != http.StatusBadRequest || !strings.Contains(a.body, "token") {
		t.Errorf("no token: %d %s", a.status, a.body)
	}
	if a := n.login(strings.Repeat("x", 8<<10)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d %s", a.status, a.body)
	}
	// A body that says that it is large is not waited for.
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", n.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if _, err := io.WriteString(connection, "POST /v1/session HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(connection).ReadString('\n'); err != nil || !strings.Contains(line, "413") {
		t.Errorf("a large body that does not come: %q %v", line, err)
	}
	if a := n.callAs("", http.MethodPost, "/v1/session?token="+n.token, "{}", "Content-Type", jsonType); a.status != http.StatusBadRequest || strings.Contains(a.body, n.token) {
		t.Errorf("a token in the URL: %d %s", a.status, a.body)
	}
	b := n.browse(n.token)
	of := map[any]int{}
	for _, spec := range n.events() {
		if spec["action"] != "refuse" {
			continue
		}
		of[spec["target"]]++
		if spec["actor"] != "anonymous" || !strings.Contains(spec["message"].(string), "login: ") {
			t.Errorf("%v", spec)
		}
	}
	if len(of) != 2 || of["admin"] != 5 || of[""] != 5 {
		t.Errorf("the audit log has refused logins of %v", of)
	}
	n.want(http.StatusOK, b.call(http.MethodPost, "/v1/session:renew", "{}"))
	n.want(http.StatusOK, b.call(http.MethodDelete, "/v1/session", ""))
	all := n.call(http.MethodGet, "/v1/events?pageSize=1000", "").body + log.String()
	_, value, _ := strings.Cut(b.cookie, "=")
	for _, secret := range []string{n.token, wrong, nobodys, value, b.csrf, strings.SplitN(n.token, "_", 3)[2]} {
		if strings.Contains(all, secret) {
			t.Error("a secret is in the audit log, or in the server's log")
		}
	}
	if !strings.Contains(log.String(), "refused a login") {
		t.Error("the server's log says nothing of refused logins")
	}
}

// One token cannot fill the audit log with logins, and its logins take nothing from others.
func TestTooManyLogins(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *server.Config) { c.Now = clock.now })
	viewer := n.apiToken("viewer")
	refused := 0
	for range 70 {
		if a := n.login(viewer); a.status == http.StatusTooManyRequests && a.header.Get("X-Isthmus-Fault") == string(fault.Busy) {
			refused++
		}
	}
	if refused < 5 {
		t.Errorf("of 70 logins at once %d were refused", refused)
	}
	n.browse(n.token)
	clock.advance(time.Minute)
	n.browse(viewer)
}

func TestSessionOutlivesItsServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startIn(t, dir)
	b := n.browse(n.token)
	n.stop()
	again := b.at(startIn(t, dir))
	again.lives()
	again.n.want(http.StatusOK, again.call(http.MethodPost, "/v1/datacenters", `{"name":"dc1","spec":{"runtime":"vm"}}`))
}

// A logout is one everywhere: at the server itself after a restart, too, and for what waits with the session.
func TestLogoutOutlivesTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startIn(t, dir)
	b, other := n.browse(n.token), n.browse(n.token)
	n.apply(datacenters("dc1"))
	path := "/v1/datacenters?wait=1m&index=" + strconv.FormatUint(n.settle("/v1/datacenters"), 10)
	waiting := make(chan answer, 2)
	go func() { waiting <- b.call(http.MethodGet, path, "") }()
	go func() { waiting <- other.call(http.MethodGet, path, "") }()
	n.inFlight("isthmus.v1.DatacenterService/ListDatacenters", 2)
	n.want(http.StatusOK, b.call(http.MethodDelete, "/v1/session", ""))
	if a := arrives(t, "the end of what waits", waiting); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "logged out") {
		t.Errorf("what waited with the session: %d %s", a.status, a.body)
	}
	b.gone("logged out")
	other.lives()
	n.apply(datacenters("dc2"))
	n.want(http.StatusOK, arrives(t, "the other session's answer", waiting))
	n.stop()
	again := startIn(t, dir)
	b.at(again).gone("logged out")
	other.at(again).lives()
}

// Any replica takes the session that another one made, of a token that it has not heard of yet.
func TestSessionAtReplicas(t *testing.T) {
	t.Parallel()
	url, key := pgtest.Start(t).Database(t), t.TempDir()+"/server.key"
	replica := func() *node {
		return start(t, func(c *server.Config) { c.Store, c.ServerKeyFile = url, key })
	}
	one, two := replica(), replica()
	token := one.apiToken("operator")
	b := one.browse(token)
	there := b.at(two)
	there.lives()
	two.want(http.StatusOK, there.call(http.MethodPost, "/v1/datacenters", `{"name":"dc1","spec":{"runtime":"vm"}}`))
	renewed := two.want(http.StatusOK, there.call(http.MethodPost, "/v1/session:renew", "{}"))
	b.cookie = cookieOf(t, renewed)
	b.lives()
	left := two.browse(token)
	left.at(one).lives()
	two.want(http.StatusOK, left.call(http.MethodDelete, "/v1/session", ""))
	eventually(t, "the other replica knows of the logout", func() (bool, string) {
		a := left.at(one).call(http.MethodGet, "/v1/session", "")
		return a.status == http.StatusUnauthorized && strings.Contains(a.body, "logged out"), a.body
	})
	name := strings.Split(token, "_")[1]
	index := one.want(http.StatusOK, one.call(http.MethodDelete, "/v1/api-tokens/"+name, "")).header.Get("X-Isthmus-Index")
	two.want(http.StatusOK, two.callAs(one.token, http.MethodGet, "/v1/datacenters?min-index="+index, ""))
	b.gone("revoked")
	there.gone("revoked")
}

// Over TLS the cookie is one that no other host can set, and that goes nowhere in the clear.
func TestSessionWithTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := selfSigned(t, t.TempDir(), 1)
	n := start(t, func(c *server.Config) { c.HTTPCertFile, c.HTTPKeyFile = cert, key })
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	call := func(method, path, body, cookie, csrf string) (int, string, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, n.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", jsonType)
		r.Header.Set("Cookie", cookie)
		r.Header.Set("X-Isthmus-CSRF", csrf)
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		var said struct{ CsrfToken string }
		if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header.Get("Set-Cookie"), said.CsrfToken
	}
	_, set, csrf := call(http.MethodPost, "/v1/session", `{"token":"`+n.token+`"}`, "", "")
	if !strings.HasPrefix(set, "__Host-isthmus_session=") || !strings.HasSuffix(set, "; Path=/; HttpOnly; Secure; SameSite=Strict") {
		t.Fatalf("the cookie is %s", set)
	}
	cookie, _, _ := strings.Cut(set, ";")
	if code, _, _ := call(http.MethodGet, "/v1/session", "", cookie, csrf); code != http.StatusOK {
		t.Errorf("its own cookie: %d", code)
	}
	if code, _, _ := call(http.MethodGet, "/v1/session", "", strings.TrimPrefix(cookie, "__Host-"), csrf); code != http.StatusUnauthorized {
		t.Errorf("a cookie by a name that others can set: %d", code)
	}
	// A proxy in front that has TLS says so.
	plain := start(t)
	a := plain.want(http.StatusOK, plain.login(plain.token, "X-Forwarded-Proto", "https"))
	if set := a.header.Get("Set-Cookie"); !strings.HasPrefix(set, "__Host-") || !strings.Contains(set, "; Secure;") {
		t.Errorf("behind a proxy with TLS the cookie is %s", set)
	}
	plain.want(http.StatusOK, plain.callAs("", http.MethodGet, "/v1/session", "", "X-Forwarded-Proto", "https", "Cookie", cookieOf(t, a),
		"X-Isthmus-CSRF", a.fields(t)["csrfToken"].(string)))
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	all strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
