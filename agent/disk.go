package agent

import (
	"encoding/json"
	"errors"
	"io/fs"

	"isthmus/fault"
	"isthmus/secretfile"
)

// Files of an agent's data directory. All are for its owner only and are replaced in one step.
const (
	// fileIdentity and fileCertificate are written by package identity.
	fileIdentity    = "identity.json"
	fileCertificate = "certificate.pem"
	fileState       = "state.json"
	fileRecords     = "peerings.json"
	fileTransfer    = "leader-transfer.json"
	fileSession     = "session.json"
	fileEntries     = "entries.json"
	fileLock        = "lock"
	// fileDelivery is what was done for a federation on this host, filePending what Consul has yet to take over of it, fileBundle the
	// bundle, sealed, fileToken the agent's own token for Consul, and fileCA the CAs that Consul's own certificate may be of. With
	// fileLeaveToken a datacenter that left is given a mesh CA of its own.
	fileDelivery   = "federation.json"
	filePending    = "federation-pending.json"
	fileBundle     = "federation-bundle.sealed"
	fileToken      = "consul-token"
	fileCA         = "consul-ca.pem"
	fileLeaveToken = "federation-leave-token"
	// fileServerKey and fileServerCertificate are the Consul server's; the certificate only where it is signed on this host.
	fileServerKey         = "consul-server-key.pem"
	fileServerCertificate = "consul-server.pem"
)

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encoding %s", path)
	}
	if err := secretfile.Write(path, append(text, '\n')); err != nil {
		return fault.Wrap(fault.Internal, err, "writing %s", path)
	}
	return nil
}

// readJSON fills v out of a file. NotFound when there is none.
func readJSON(path string, v any) error {
	text, err := secretfile.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Wrap(fault.NotFound, err, "there is no %s", path)
	case err != nil:
		return fault.Wrap(fault.CodeOf(err), err, "reading %s", path)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fault.Wrap(fault.Internal, err, "%s is damaged", path)
	}
	return nil
}
