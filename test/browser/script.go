package browser

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// objects is the group of what scripts return and is not copied; see forget.
const objects = "isthmus-test"

// eval runs an expression in the page, as DevTools does: no Content-Security-Policy forbids it. Of promises it gives the result.
func eval[T any](ctx context.Context, t *chromedp.Target, expression string) (T, error) {
	return chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise)(ctx, t)
}

// call calls a function with a node as this.
func call[T any](ctx context.Context, t *chromedp.Target, node cdp.BackendNodeID, function string, args ...any) (result T, err error) {
	object, err := cdp.Call(ctx, t, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: node, ObjectGroup: objects})
	if err != nil {
		return result, err
	}
	await := true
	return chromedp.CallFunctionOn[T](function, func(p *runtime.CallFunctionOnParams) {
		p.ObjectID, p.AwaitPromise, p.ObjectGroup = object.Object.ObjectID, &await, objects
	}, args...)(ctx, t)
}

// forget lets go of nodes that were called, so that the page may.
func forget(ctx context.Context, t *chromedp.Target) error {
	_, err := cdp.Call(ctx, t, runtime.ReleaseObjectGroup, runtime.ReleaseObjectGroupParams{ObjectGroup: objects})
	return err
}
