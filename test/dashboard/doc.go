// Package dashboard tests the dashboard as people use it: in a real Chromium, against a real isthmus server with real Consul datacenters. It has
// tests only.
//
// Owns: the list of pages (pages_test.go), what has to hold on each of them at any size and in any colours, their pictures (make screenshots),
// and the stories that begin in the browser.
// Does not own: the browser (test/browser), the rules that pages show. Start reading at TestPages.
package dashboard
