package rest

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	"isthmus/server/auth"
	"isthmus/server/limit"
	"isthmus/server/session"
)

const (
	// plainCookie has a browser's session. secureCookie has it where the browser came with TLS: by that name it takes the
	// cookie from this host only, over TLS only, and no other host or path can put one in its place.
	plainCookie, secureCookie = "isthmus_session", "__Host-isthmus_session"
	// csrfHeader shows that a request comes from the dashboard's own script. Cookies go to every port of a host; this is told
	// once, at the login, and kept where only pages of this origin read it: without it, whoever was sent the cookie has nothing.
	csrfHeader = "X-Isthmus-CSRF"
	// loginPath is the one path under /v1 that strangers may send a body to.
	loginPath = "/v1/session"
)

// admit says who makes a request: by its Authorization header if it has one, otherwise by its cookie. The request that it
// gives carries the session to the services.
func (o Options) admit(r *http.Request) (*http.Request, auth.Caller, error) {
	if len(r.Header.Values("Authorization")) > 0 {
		caller, err := o.Guard.Bearer(r.Context(), r.Header.Get("Authorization"))
		return r, caller, err
	}
	sealed, s, err := o.session(r)
	if err == nil && sealed == "" {
		_, err = o.Guard.Bearer(r.Context(), "")
	}
	if err != nil {
		return r, auth.Caller{}, err
	}
	caller, err := o.Guard.ByLogin(r.Context(), auth.Login{ID: s.ID, Subject: s.Subject})
	if err != nil {
		return r, caller, err
	}
	if err := ownRequest(r, s); err != nil {
		return r, caller, err
	}
	return withVisit(r, visit{secure: secured(r), session: sealed}), caller, nil
}

// session is the one whose cookie a request shows; none and no error when it shows no cookie. Of several of one name (another
// server on this host, another path) the first good one counts. When none is, the error tells of one that has ended, if any has.
func (o Options) session(r *http.Request) (string, session.Session, error) {
	var why error
	for _, cookie := range r.CookiesNamed(cookieName(secured(r))) {
		s, err := o.Sessions.Open(cookie.Value)
		if err == nil {
			return cookie.Value, s, nil
		}
		if why == nil || !sessionEnded(why) {
			why = err
		}
	}
	return "", session.Session{}, why
}

// visit is what the gateway is told of a request besides the request itself.
type visit struct {
	// secure: the browser came with TLS.
	secure bool
	// session is the sealed session that was shown and is good; empty for none.
	session string
	// call is what the request counts as; nil for a login.
	call *limit.Call
}

type visitKey struct{}

func withVisit(r *http.Request, v visit) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
}

func visitOf(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit)
	return v
}

// passVisit gives the services the session that admit found, and the call that was let in.
func passVisit(ctx context.Context, _ *http.Request) metadata.MD {
	v, md := visitOf(ctx), metadata.MD{}
	if v.session != "" {
		md.Set(auth.SessionKey, v.session)
	}
	if v.call != nil {
		md.Set(limit.CallKey, v.call.Name())
	}
	return md
}

// ownRequest refuses what another site made the browser send, and whoever has the cookie alone. SameSite keeps the cookie from
// other sites already; this does not count on it.
func ownRequest(r *http.Request, s session.Session) error {
	if err := sameOrigin(r); err != nil {
		return err
	}
	if !s.SameCSRF(r.Header.Get(csrfHeader)) {
		return refuseForged(csrfHeader, "is missing or is not this session's: a request with the cookie also shows the csrfToken that its login was given, "+
			"or else an API token in place of the cookie")
	}
	return nil
}

func sameOrigin(r *http.Request) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return refuseForged("Origin", "is another one than this server's: another site sent this request, or a proxy in front changes the Host header")
	}
	return nil
}

func refuseForged(header, why string) error {
	return &fault.Error{Code: fault.Denied, Message: "the header " + header + " " + why, Violations: []fault.Violation{{
		Field: header, Reason: "CrossSite", Message: why,
	}}}
}

// login lets somebody through who has nothing to show yet but the body: only from a page of this server, and only what no
// form can send.
func login(o Options, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := checkLogin(r); err != nil {
			refuse(o, w, r, err)
			return
		}
		// Whatever else the request shows, the token in its body counts.
		r.Header.Del("Authorization")
		next.ServeHTTP(w, withVisit(r, visit{secure: secured(r)}))
	})
}

// entering lets a login of which everything is there in, as long as there are not too many: whoever sends it slowly takes nobody's place.
func entering(o Options, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, err := o.Limiter.Login()
		if err != nil {
			o.Refused(r.Context(), err)
			writeError(w, err)
			return
		}
		defer leave()
		next.ServeHTTP(w, r)
	})
}

func checkLogin(r *http.Request) error {
	if err := sameOrigin(r); err != nil {
		return err
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return fault.New(fault.Invalid, "a login is JSON: Content-Type: application/json")
	}
	return nil
}

// sessionEnded tells a session that was good once from what never was one.
func sessionEnded(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && len(f.Violations) == 1 && f.Violations[0].Reason == auth.ReasonSessionEnded
}

// forwardCookie sets the cookie that an answer of SessionService asks for.
func forwardCookie(ctx context.Context, w http.ResponseWriter, _ proto.Message) error {
	md, ok := runtime.ServerMetadataFromContext(ctx)
	if values := md.HeaderMD.Get(session.CookieKey); ok && len(values) > 0 {
		setCookie(w, visitOf(ctx).secure, values[0])
	}
	return nil
}

// setCookie gives a browser its session; an empty one takes it away. There is no Max-Age: the browser forgets it when it is
// closed, and when a session ends is not for the browser to say.
func setCookie(w http.ResponseWriter, secure bool, value string) {
	cookie := &http.Cookie{
		Name: cookieName(secure), Value: value, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode,
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

func cookieName(secure bool) string {
	if secure {
		return secureCookie
	}
	return plainCookie
}

// secured tells whether a browser came with TLS, to this server or to a proxy in front that says so. Who lies about it is
// given a cookie that it will not show, or shows one by a name that is not looked for.
func secured(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}
