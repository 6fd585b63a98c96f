package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axePath is where axe-core is, below the repository.
const axePath = "web/node_modules/axe-core/axe.min.js"

// violation is one rule of accessibility that a page breaks.
type violation struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// Axe fails the test for each rule of accessibility that the page breaks, as it is on the screen now, with the elements that break it.
func (p *Page) Axe(tb testing.TB) {
	tb.Helper()
	source, err := axeSource()
	if err != nil {
		tb.Fatalf("axe-core is not there: %v (make web installs it)", err)
	}
	var found []violation
	p.do(tb, "looking for violations of accessibility", settle, func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		world, err := ownWorld(ctx, t)
		if err != nil {
			return v, err
		}
		there := func(params *runtime.EvaluateParams) { params.ContextID = world }
		if _, err := chromedp.Evaluate[chromedp.Void](source, there)(ctx, t); err != nil {
			return v, err
		}
		found, err = chromedp.Evaluate[[]violation](`axe.run(document, { resultTypes: ['violations'] }).then((result) => result.violations)`,
			there, chromedp.EvalAwaitPromise)(ctx, t)
		return v, err
	})
	for _, one := range found {
		var where strings.Builder
		for _, node := range one.Nodes {
			fmt.Fprintf(&where, "\n  %s\n    %s", node.HTML, strings.ReplaceAll(node.Summary, "\n", "\n    "))
		}
		tb.Errorf("accessibility: %s (%s): %s%s", one.ID, one.Impact, one.Help, where.String())
	}
}

// ownWorld is a place for scripts that see the page's document and none of its variables, nor it theirs.
func ownWorld(ctx context.Context, t *chromedp.Target) (runtime.ExecutionContextID, error) {
	tree, err := cdp.Call(ctx, t, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		return 0, err
	}
	world, err := cdp.Call(ctx, t, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: tree.FrameTree.Frame.ID, WorldName: objects})
	return world.ExecutionContextID, err
}

// axeSource finds axe-core from the directory of any package: a test runs there.
func axeSource() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			source, err := os.ReadFile(filepath.Join(dir, axePath))
			return string(source), err
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no go.mod above")
		}
		dir = filepath.Dir(dir)
	}
}
