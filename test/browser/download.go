package browser

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// partial ends the name of a file that is still coming.
const partial = ".crdownload"

// Download clicks what has the browser save one file, and gives the file's name and content.
func (p *Page) Download(tb testing.TB, l Locator) (name, content string) {
	tb.Helper()
	dir := tb.TempDir()
	p.do(tb, "saving files to a directory", func(ctx context.Context, _ *chromedp.Target) (v chromedp.Void, err error) {
		_, err = chromedp.CallBrowser(ctx, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
			Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, BrowserContextID: chromedp.FromContext(ctx).BrowserContextID, DownloadPath: dir,
		})
		return v, err
	})
	p.Click(tb, l)
	p.until(tb, "a file is saved", func(context.Context, *chromedp.Target) (string, error) {
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 1 || strings.HasSuffix(files[0].Name(), partial) {
			return "there is none", err
		}
		name = files[0].Name()
		data, err := os.ReadFile(filepath.Join(dir, name))
		content = string(data)
		return "", err
	})
	return name, content
}
