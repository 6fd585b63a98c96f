package browser

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// minSecret is how long a secret has to be, in bytes, to be looked for: shorter ones are found by chance.
const minSecret = 8

// Secrets fails the test for each of these values that is anywhere in the page (its document, what is in its fields, its storage), in an
// address that was asked for, or in a response that the page ever got, headers included: as it is, or as JSON, HTML, an address or base64 would
// write it. It does not say the value, only which one of them.
func (p *Page) Secrets(tb testing.TB, values ...string) {
	tb.Helper()
	places := p.places(tb)
	for i, value := range values {
		if len(value) < minSecret {
			tb.Fatalf("secret %d of %d is too short to be looked for", i+1, len(values))
		}
		written := spellings(value)
		for _, place := range places {
			if slices.ContainsFunc(written, func(w string) bool { return strings.Contains(place.text, w) }) {
				tb.Errorf("secret %d of %d is in %s", i+1, len(values), place.name)
			}
		}
	}
}

// Forget drops what the page was sent and has asked for until now: what is shown once must be in nothing that comes after.
func (p *Page) Forget() {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	p.watch.urls, p.watch.responses = nil, nil
	clear(p.watch.seen)
}

// place is where a secret may be.
type place struct{ name, text string }

// shown is what the page holds: what is in a field is not in the document.
const shown = `({
	document: document.documentElement.outerHTML,
	fields: [...document.querySelectorAll('input, textarea, select')].map((field) => field.value).join('\n'),
	storage: [localStorage, sessionStorage].map((storage) => Object.entries(storage).join('\n')).join('\n'),
	address: location.href,
})`

func (p *Page) places(tb testing.TB) []place {
	tb.Helper()
	var places []place
	p.do(tb, "reading the page", func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		parts, err := eval[map[string]string](ctx, t, shown)
		if err != nil {
			return v, err
		}
		for name, text := range parts {
			places = append(places, place{"the page's " + name, text})
		}
		cookies, err := chromedp.CallBrowser(ctx, storage.GetCookies, storage.GetCookiesParams{BrowserContextID: chromedp.FromContext(ctx).BrowserContextID})
		for _, cookie := range cookies.Cookies {
			places = append(places, place{"the cookie " + cookie.Name, cookie.Value})
		}
		return v, err
	})
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	for _, address := range p.watch.urls {
		places = append(places, place{"the address of a request", address})
	}
	for _, r := range p.watch.responses {
		// An address with the secret in it is a place of its own, and is not said.
		at, _, _ := strings.Cut(r.url, "?")
		places = append(places, place{"the response to " + at, r.text})
	}
	return places
}

// spellings are the ways to write a value.
func spellings(value string) []string {
	all := []string{
		value, inJSON(value, true), inJSON(value, false), html.EscapeString(value), url.QueryEscape(value), url.PathEscape(value),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(value)), "="), strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(value)), "="),
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// inJSON is a value inside of a JSON string. Go writes what HTML cares about in another way than others do.
func inJSON(value string, escapeHTML bool) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(escapeHTML)
	if encoder.Encode(value) != nil {
		return value // never: every string can be encoded
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(out.String()), `"`), `"`)
}
