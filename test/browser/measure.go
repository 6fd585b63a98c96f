package browser

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Begin has a script run at the beginning of each document that is opened from now on.
func (p *Page) Begin(tb testing.TB, script string) {
	tb.Helper()
	p.do(tb, "adding a script", func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return v, err
	})
}

// Evaluate gives the value of an expression in a page: of a promise, what it resolves to.
func Evaluate[T any](tb testing.TB, p *Page, expression string) T {
	tb.Helper()
	var out T
	p.do(tb, "evaluating an expression", func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		out, err = eval[T](ctx, t, expression)
		return v, err
	})
	return out
}

// Drag holds the mouse's button down in the middle of an element, moves by (dx, dy) CSS pixels as often as given, and lets go.
func (p *Page) Drag(tb testing.TB, l Locator, dx, dy float64, moves int) {
	tb.Helper()
	at := p.reach(tb, "dragging", l)
	p.do(tb, "pressing on "+l.String(), move(at), chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, at.X, at.Y, chromedp.ButtonLeft))
	for range moves {
		at.X, at.Y = at.X+dx, at.Y+dy
		p.do(tb, "dragging "+l.String(), chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at.X, at.Y, chromedp.ButtonLeft))
	}
	p.do(tb, "letting go of "+l.String(), chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, at.X, at.Y, chromedp.ButtonLeft))
}

// Hide has the page believe that its tab is hidden, or seen again: what Chromium tells a page whose tab is not looked at. Its timers and its
// network go on as before, so that whatever it asks meanwhile is its own doing.
func (p *Page) Hide(tb testing.TB, hidden bool) {
	tb.Helper()
	state := "visible"
	if hidden {
		state = "hidden"
	}
	Evaluate[bool](tb, p, `(() => {
		Object.defineProperty(document, 'hidden', { configurable: true, get: () => '`+state+`' === 'hidden' });
		Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => '`+state+`' });
		document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
		return true;
	})()`)
}
