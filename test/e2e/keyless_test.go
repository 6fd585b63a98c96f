package e2e_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/federation"
)

// The key of the CA stays in the primary; the secondary has a certificate for its own names, and not for long.
func TestKeylessFederation(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{Fresh: true})
	f.Declare("dc1", "dc2")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2], keyless: true}\n")
	f.Joined("global", dc1, dc2)
	dc1.Reads(dc2)
	dc2.Reads(dc1)

	text, err := os.ReadFile(filepath.Join(dc2.ConfigDir, federation.FileCert))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	want := federation.CertificateNames("dc2", "consul")
	slices.Sort(want)
	names := slices.Sorted(slices.Values(certificate.DNSNames))
	if !slices.Equal(names, want) || len(certificate.IPAddresses) != 1 || !certificate.IPAddresses[0].IsLoopback() {
		t.Errorf("its certificate is for %v and %v", names, certificate.IPAddresses)
	}
	if life := certificate.NotAfter.Sub(certificate.NotBefore); life > 31*24*time.Hour {
		t.Errorf("its certificate is good for %s", life)
	}
	key, err := os.ReadFile(dc1.CAKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte(strings.Split(string(key), "\n")[1])
	for _, dir := range []string{dc2.Dir, dc2.Agents[0].dir, f.path("server")} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if bytes.Contains(text, secret) {
				t.Errorf("the CA's key is in %s", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
