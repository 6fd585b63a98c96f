// Package web carries the dashboard into the server: what `make web` made of src.
//
// Owns: the built files. Does not own: how they are served (server/rest), the dashboard itself, which is TypeScript: start
// reading at src/main.tsx.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// App are the files of the dashboard, index.html among them; false when this program was built without it.
func App() (fs.FS, bool) {
	app, err := fs.Sub(dist, "dist/app")
	if err != nil {
		return nil, false
	}
	_, err = fs.Stat(app, "index.html")
	return app, err == nil
}
