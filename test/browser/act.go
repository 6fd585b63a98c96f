package browser

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// until tries again and again, until there is nothing that it says is in the way. Errors are in the way as well: a page that is just
// being loaded has moments without a document.
func (p *Page) until(tb testing.TB, what string, try func(context.Context, *chromedp.Target) (why string, err error)) {
	tb.Helper()
	ctx, cancel := p.bounded()
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	last := "nothing was tried"
	for {
		why, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (string, error) {
			why, err := try(ctx, t)
			return why, errors.Join(err, forget(ctx, t))
		})
		if err == nil && why == "" {
			return
		}
		if ctx.Err() == nil {
			last = why
			if err != nil {
				last = err.Error()
			}
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("waited %v until %s: %s", p.patience, what, last)
		case <-tick.C:
		}
	}
}

// See waits until there is at least one such element on the page.
func (p *Page) See(tb testing.TB, l Locator) {
	tb.Helper()
	p.until(tb, "there is "+l.String(), func(ctx context.Context, t *chromedp.Target) (string, error) {
		found, err := l.find(ctx, t)
		if err != nil || len(found) > 0 {
			return "", err
		}
		return "there is none", nil
	})
}

// NotSee waits until there is no such element on the page, nor what it would be in.
func (p *Page) NotSee(tb testing.TB, l Locator) {
	tb.Helper()
	p.until(tb, "there is no "+l.String(), func(ctx context.Context, t *chromedp.Target) (string, error) {
		found, err := l.find(ctx, t)
		if waiting := (*notYet)(nil); errors.As(err, &waiting) {
			return "", nil
		}
		if err != nil || len(found) == 0 {
			return "", err
		}
		return fmt.Sprintf("there are %d", len(found)), nil
	})
}

// Count is how many such elements are on the page now. It waits for none: see something first.
func (p *Page) Count(tb testing.TB, l Locator) int {
	tb.Helper()
	count := 0
	p.do(tb, "counting "+l.String(), func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		found, err := l.find(ctx, t)
		count = len(found)
		return v, err
	})
	return count
}

// Read waits for the one such element, and gives its text as it is on the screen, white space squeezed.
func (p *Page) Read(tb testing.TB, l Locator) string {
	tb.Helper()
	var read string
	p.with(tb, "reading", l, func(ctx context.Context, t *chromedp.Target, node cdp.BackendNodeID) (why string, err error) {
		read, err = call[string](ctx, t, node, `function() { return this.innerText ?? this.textContent ?? ''; }`)
		return "", err
	})
	return squeeze(read)
}

// with waits for the one such element, and does something with it, until nothing is in the way.
func (p *Page) with(tb testing.TB, doing string, l Locator, do func(context.Context, *chromedp.Target, cdp.BackendNodeID) (why string, err error)) {
	tb.Helper()
	p.until(tb, doing+" "+l.String()+" is possible", func(ctx context.Context, t *chromedp.Target) (string, error) {
		found, err := l.find(ctx, t)
		if err != nil {
			return "", err
		}
		if len(found) != 1 {
			return fmt.Sprintf("there are %d of it", len(found)), nil
		}
		return do(ctx, t, found[0])
	})
}

// point is where an element can be hit with the mouse, in CSS pixels of the window; or why it cannot.
type point struct {
	X   float64 `json:"x"`
	Y   float64 `json:"y"`
	Why string  `json:"why"`
}

// pointer scrolls to an element and tells where to hit it: in its middle, when it stands still, and nothing is above it. A switch that is
// drawn by its label is hit there.
const pointer = `async function() {
	if (this.matches(':disabled') || this.closest('[aria-disabled=true],[inert]')) return { why: 'it is disabled' };
	const box = (element) => [...element.getClientRects()].find((r) => r.width > 1 && r.height > 1);
	const target = box(this) && getComputedStyle(this).opacity !== '0' ? this : ([...(this.labels ?? [])].find(box) ?? this);
	if (!box(target)) return { why: 'it has no size' };
	target.scrollIntoView({ block: 'center', inline: 'nearest', behavior: 'instant' });
	const before = box(target);
	await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
	const r = box(target);
	if (!r || r.x !== before.x || r.y !== before.y) return { why: 'it moves' };
	window.isthmusMissed = true;
	target.addEventListener('pointerdown', () => (window.isthmusMissed = false), { capture: true, once: true });
	const x = r.x + r.width / 2, y = r.y + r.height / 2;
	const hit = document.elementFromPoint(x, y);
	if (!hit) return { why: 'it is outside of the window' };
	const own = target.contains(hit) || hit.contains(target) && !box(target) || [...(this.labels ?? [])].some((l) => l.contains(hit));
	if (!own) return { why: 'above it is ' + hit.outerHTML.slice(0, 200) };
	return { x, y };
}`

// maxMisses is how often an element may move away from under the mouse.
const maxMisses = 5

// Click waits until the one such element can be clicked, and clicks it; again, when it moved away in that moment, as on a page that is
// still being filled.
func (p *Page) Click(tb testing.TB, l Locator) {
	tb.Helper()
	for range maxMisses {
		at := p.reach(tb, "clicking", l)
		missed := false
		p.do(tb, "clicking "+l.String(), move(at), chromedp.MouseClickXY(at.X, at.Y), func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
			var failed error
			if missed, failed = eval[bool](ctx, t, `window.isthmusMissed === true`); failed != nil {
				missed = false // the click leads to another document
			}
			return v, nil
		})
		if !missed {
			return
		}
	}
	tb.Fatalf("clicked %s %d times, and it moved away each time", l, maxMisses)
}

// Hover waits until the one such element can be pointed at, and does so.
func (p *Page) Hover(tb testing.TB, l Locator) {
	tb.Helper()
	p.do(tb, "pointing at "+l.String(), move(p.reach(tb, "pointing at", l)))
}

func move(to point) chromedp.Action[chromedp.Void] {
	return chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, to.X, to.Y)
}

// reach waits until the mouse can hit an element, and tells where.
func (p *Page) reach(tb testing.TB, doing string, l Locator) (at point) {
	tb.Helper()
	p.with(tb, doing, l, func(ctx context.Context, t *chromedp.Target, node cdp.BackendNodeID) (why string, err error) {
		at, err = call[point](ctx, t, node, pointer)
		return at.Why, err
	})
	return at
}

// chooser puts the cursor into a field, with all that is in it selected.
const chooser = `function() {
	if (this.matches(':disabled') || this.readOnly) return 'it cannot be written into';
	if (!('value' in this) && !this.isContentEditable) return 'it is nothing to write into';
	this.scrollIntoView({ block: 'center', inline: 'nearest', behavior: 'instant' });
	this.focus();
	if (this.select) this.select();
	else getSelection().selectAllChildren(this);
	return document.activeElement === this ? '' : 'it does not take the cursor';
}`

// Fill waits until the one such field can be written into, and replaces what is in it.
func (p *Page) Fill(tb testing.TB, l Locator, value string) {
	tb.Helper()
	p.with(tb, "writing into", l, func(ctx context.Context, t *chromedp.Target, node cdp.BackendNodeID) (why string, err error) {
		return call[string](ctx, t, node, chooser)
	})
	if value == "" {
		p.do(tb, "emptying "+l.String(), chromedp.KeyEvent(kb.Delete))
	} else {
		p.do(tb, "writing into "+l.String(), func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
			_, err = cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: value})
			return v, err
		})
	}
	p.with(tb, "having written into", l, func(ctx context.Context, t *chromedp.Target, node cdp.BackendNodeID) (string, error) {
		is, err := call[string](ctx, t, node, `function() { return this.value ?? this.innerText ?? ''; }`)
		if err == nil && is != value {
			return "it holds something else", nil // not said what: it may be a secret
		}
		return "", err
	})
}

// named are the keys that Press knows by name; others are themselves.
func named() map[string]string {
	return map[string]string{
		"Enter": kb.Enter, "Escape": kb.Escape, "Tab": kb.Tab, "Space": " ", "Backspace": kb.Backspace, "Delete": kb.Delete,
		"ArrowUp": kb.ArrowUp, "ArrowDown": kb.ArrowDown, "ArrowLeft": kb.ArrowLeft, "ArrowRight": kb.ArrowRight,
		"Home": kb.Home, "End": kb.End, "PageUp": kb.PageUp, "PageDown": kb.PageDown,
	}
}

// Press presses keys one after the other, wherever the cursor is: "Tab", "Shift+Tab", "Control+k", "ArrowDown", "a".
func (p *Page) Press(tb testing.TB, keys ...string) {
	tb.Helper()
	modifiers := map[string]chromedp.Modifier{
		"Shift": chromedp.ModifierShift, "Control": chromedp.ModifierCtrl, "Alt": chromedp.ModifierAlt, "Meta": chromedp.ModifierMeta,
	}
	for _, pressed := range keys {
		key, options := pressed, []chromedp.KeyOption(nil)
		for before, after, more := strings.Cut(key, "+"); more && before != "" && after != ""; before, after, more = strings.Cut(key, "+") {
			modifier, ok := modifiers[before]
			if !ok {
				tb.Fatalf("%s in %s is no key to hold", before, pressed)
			}
			options, key = append(options, chromedp.KeyModifiers(modifier)), after
		}
		if one, ok := named()[key]; ok {
			key = one
		} else if len([]rune(key)) != 1 {
			tb.Fatalf("%s is no key", pressed)
		}
		p.do(tb, "pressing "+pressed, chromedp.KeyEvent(key, options...))
	}
}
