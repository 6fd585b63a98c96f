package delivery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	"isthmus/federation"
	"isthmus/secretfile"
)

// flagDir of isthmus agent, which errors name.
const flagDir = "--consul-config-dir"

// FilesConfig is what the agent's flags allow on a VM.
type FilesConfig struct {
	// Dir is a directory that the Consul server reads its configuration from. Empty: nothing but the gateway's token is written.
	Dir string
	// ReloadCommand and RestartCommand are run by /bin/sh -c. Empty: not possible; a restart does for a reload.
	ReloadCommand, RestartCommand string
	// GatewayTokenFile is where the gateway's token goes; empty: nowhere.
	GatewayTokenFile string
	// PendingFile is where it is noted that Consul does not run yet with what was written, and which token was: outside of Dir.
	PendingFile string
	Log         hclog.Logger
}

// Files is a Host that is a VM.
type Files struct {
	config FilesConfig
	log    hclog.Logger

	mu sync.Mutex
}

var _ Host = (*Files)(nil)

// pending is the content of PendingFile.
type pending struct {
	Effect Effect `json:"effect"`
	// GatewayToken is the SHA-256 (hex) of the last token that was written: a file with another one is somebody else's.
	GatewayToken string `json:"gatewayToken,omitempty"`
}

// NewFiles makes one. Nothing is touched: the directory is looked at before each use.
func NewFiles(c FilesConfig) (*Files, error) {
	if c.Dir != "" {
		dir, err := filepath.Abs(c.Dir)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the directory %s of %s", c.Dir, flagDir)
		}
		c.Dir = dir // Consul may run in another directory
	}
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	return &Files{config: c, log: c.Log}, nil
}

// CanWrite implements Host.
func (f *Files) CanWrite() bool { return f.config.Dir != "" && f.checkDir() == nil }

// CanRestart implements Host.
func (f *Files) CanRestart() bool { return f.config.RestartCommand != "" }

// Files implements Host.
func (f *Files) Files() federation.TLSFiles {
	return federation.TLSFiles{CA: f.path(federation.FileCA), Cert: f.path(federation.FileCert), Key: f.path(federation.FileKey)}
}

func (f *Files) path(name string) string { return filepath.Join(f.config.Dir, name) }

// Check is why CanWrite says no.
func (f *Files) Check() error { return f.checkDir() }

// checkDir refuses a directory in which somebody else could put other files in the place of ours.
func (f *Files) checkDir() error {
	if f.config.Dir == "" {
		return fault.New(fault.Refused, "this host's Consul configuration may not be written: start the agent with %s", flagDir)
	}
	info, err := os.Stat(f.config.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Wrap(fault.Refused, err, "the directory %s of %s is not there", f.config.Dir, flagDir)
	case err != nil:
		return fault.Wrap(fault.Refused, err, "the directory %s of %s cannot be looked at", f.config.Dir, flagDir)
	case !info.IsDir():
		return fault.New(fault.Refused, "%s of %s is not a directory", f.config.Dir, flagDir)
	case info.Mode().Perm()&0o022 != 0:
		return fault.New(fault.Refused, "others may write into %s (mode %04o), which gets secrets that Consul believes: chmod go-w it", f.config.Dir, info.Mode().Perm())
	}
	return nil
}

// file is one file that Put sees to, in the order in which they are written: what names others comes last.
type file struct {
	path    string
	content []byte
	// effect of a change.
	effect func(before, after []byte) Effect
}

func reloads(_, _ []byte) Effect { return EffectReload }
func nothing(_, _ []byte) Effect { return EffectNone }

func dropInEffect(before, after []byte) Effect {
	if federation.NeedsRestart(before, after) {
		return EffectRestart
	}
	return EffectReload
}

func (f *Files) wanted(c Content, p pending) ([]file, error) {
	var out []file
	if token := f.config.GatewayTokenFile; token != "" {
		now, err := readFile(token)
		if err != nil {
			return nil, err
		}
		// A token that people gave their gateway is theirs until there is one to put in its place.
		if c.GatewayToken != "" || digest(now) == p.GatewayToken {
			out = append(out, file{token, []byte(c.GatewayToken), nothing})
		}
	}
	if f.config.Dir == "" {
		return out, nil
	}
	return append(out,
		file{f.path(federation.FileCA), c.CA, reloads},
		file{f.path(federation.FileKey), c.Key, reloads},
		file{f.path(federation.FileCert), c.Cert, reloads},
		file{f.path(federation.FileDropIn), c.DropIn, dropInEffect},
	), nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Put implements Host.
func (f *Files) Put(_ context.Context, content Content) (Effect, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.checkDir(); f.config.Dir != "" && err != nil {
		return EffectNone, err
	}
	var changed, unneeded []file
	before, err := f.pending()
	if err != nil {
		return EffectNone, err
	}
	files, err := f.wanted(content, before)
	if err != nil {
		return EffectNone, err
	}
	effect := before.Effect
	for _, w := range files {
		now, err := readFile(w.path)
		if err != nil {
			return EffectNone, err
		}
		switch {
		case bytes.Equal(now, w.content):
			if len(now) == 0 {
				continue
			}
			// A crash may have come between a file and its owner.
			if err := own(w.path); err != nil {
				return EffectNone, err
			}
			continue
		case len(w.content) == 0:
			unneeded = append([]file{w}, unneeded...)
		default:
			changed = append(changed, w)
		}
		effect = max(effect, w.effect(now, w.content))
	}
	after := pending{Effect: effect, GatewayToken: before.GatewayToken}
	if content.GatewayToken != "" {
		after.GatewayToken = digest([]byte(content.GatewayToken))
	}
	if after != before {
		// Before the first file: after a crash, nobody could tell any more what Consul runs with.
		if err := f.note(after); err != nil {
			return EffectNone, err
		}
	}
	if effect == EffectReload && f.config.ReloadCommand == "" {
		effect = EffectRestart // which does for it
	}
	return effect, f.replace(changed, unneeded)
}

// replace writes what changed, what names others last, and removes what is not to stay the other way round.
func (f *Files) replace(changed, unneeded []file) error {
	for _, w := range changed {
		if err := secretfile.Write(w.path, w.content); err != nil {
			return err
		}
		if err := own(w.path); err != nil {
			return err
		}
		f.log.Info("wrote a file for Consul", "path", w.path)
	}
	for _, w := range unneeded {
		if err := os.Remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(fault.Internal, err, "removing %s", w.path)
		}
		f.log.Info("removed a file of Consul's", "path", w.path)
	}
	return nil
}

// Clear implements Host.
func (f *Files) Clear(ctx context.Context) (Effect, error) { return f.Put(ctx, Content{}) }

// Done implements Host.
func (f *Files) Done(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.pending()
	if err != nil || p.Effect == EffectNone {
		return err
	}
	p.Effect = EffectNone
	return f.note(p)
}

func (f *Files) pending() (pending, error) {
	text, err := secretfile.Read(f.config.PendingFile)
	if errors.Is(err, fs.ErrNotExist) {
		return pending{}, nil
	}
	if err != nil {
		return pending{}, err
	}
	var p pending
	if err := json.Unmarshal(text, &p); err != nil || p.Effect < EffectNone || p.Effect > EffectRestart {
		return pending{Effect: EffectRestart}, nil //nolint:nilerr // damaged: the most that can be needed
	}
	return p, nil
}

func (f *Files) note(p pending) error {
	text, err := json.Marshal(p)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encoding what is to be carried out")
	}
	return secretfile.Write(f.config.PendingFile, text)
}

// readFile reads a file of ours, whatever its mode. One that is not there is as good as an empty one.
func readFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Wrap(fault.Refused, err, "reading %s", path)
	}
	return text, nil
}
