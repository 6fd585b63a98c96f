package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/secretfile"
	"isthmus/store"
	"isthmus/store/snapshot"
)

const (
	// caSecret is the name under which the store's vault has the CA, sealed to the server key.
	caSecret = "server-ca"
	// AdminTokenFile in the data directory has the API token of the first start.
	AdminTokenFile = "admin.token"
	// adminToken is that token's name.
	adminToken = "admin"
)

// vault is the part of the store that keeps the CA.
type vault interface {
	store.Vault
	store.Store
}

// openCA gives the CA of the store, and the server key that opens it: those that are there, or new ones in a new store. A
// server whose key does not open the CA is refused: it is not this fleet's server, and would lock all agents out.
func openCA(ctx context.Context, st vault, c Config) (*identity.CA, *identity.ServerKey, error) {
	key, keyErr := identity.LoadServerKey(c.ServerKeyFile)
	if keyErr != nil && !errors.Is(keyErr, fs.ErrNotExist) {
		return nil, nil, keyErr
	}
	sealed, err := st.Secret(ctx, caSecret)
	switch {
	case err == nil && keyErr != nil:
		return nil, nil, fault.Wrap(fault.Refused, keyErr, "the store has secrets, but there is no server key at %s to open them: copy it from "+
			"the server that made the store, and name it with --server-key-file", c.ServerKeyFile)
	case err == nil:
		ca, err := unsealCA(key, sealed.Body)
		return ca, key, err
	case fault.CodeOf(err) != fault.NotFound:
		return nil, nil, err
	}
	if keyErr != nil {
		if key, err = newServerKey(c.ServerKeyFile, c.Log); err != nil {
			return nil, nil, err
		}
	}
	ca, err := makeCA(ctx, st, key, c)
	return ca, key, err
}

func newServerKey(path string, log hclog.Logger) (*identity.ServerKey, error) {
	key, err := identity.NewServerKey()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "making the server key")
	}
	if err := key.Save(path); err != nil {
		return nil, fmt.Errorf("writing the server key: %w", err)
	}
	log.Info("made the server key: keep a copy of it apart from the database's", "file", path)
	return key, nil
}

// makeCA makes a CA and stores it, sealed. Of two servers that begin together the first one's stays, and the second
// server takes that one, if its key opens it.
func makeCA(ctx context.Context, st vault, key *identity.ServerKey, c Config) (*identity.CA, error) {
	ca, err := identity.NewCA(c.Now())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "making the CA")
	}
	private, err := ca.KeyPEM()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "making the CA")
	}
	body, err := key.Seal(caSecret, append(ca.CertificatePEM(), private...))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "sealing the CA")
	}
	if _, err := st.Write(ctx, store.Write{Secrets: []store.Secret{{Digest: caSecret, Kind: caSecret, Body: body}}}); err != nil {
		return nil, err
	}
	stored, err := st.Secret(ctx, caSecret)
	if err != nil {
		return nil, err
	}
	return unsealCA(key, stored.Body)
}

func unsealCA(key *identity.ServerKey, body []byte) (*identity.CA, error) {
	plain, err := key.Open(caSecret, body)
	if err != nil {
		return nil, err
	}
	const end = "-----END CERTIFICATE-----\n"
	certificate, private, ok := strings.Cut(string(plain), end)
	if !ok {
		return nil, fault.New(fault.Internal, "the store's CA is damaged")
	}
	ca, err := identity.ParseCA([]byte(certificate+end), []byte(private))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the store's CA is damaged")
	}
	return ca, nil
}

// makeAdminToken writes the first API token to a file, when the store has none. The file comes first: a token that is in
// the store and nowhere else would lock everybody out.
func makeAdminToken(ctx context.Context, st store.Store, s *snapshot.Snapshot, c Config) error {
	if err := s.Catchup(ctx); err != nil {
		return err
	}
	for range s.View().List(resource.KindAPIToken) {
		return nil
	}
	secret, hash, err := identity.NewAPISecret(adminToken)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "making the admin token")
	}
	path := filepath.Join(c.DataDir, AdminTokenFile)
	if err := secretfile.Write(path, []byte(secret+"\n")); err != nil {
		return fmt.Errorf("writing the admin token: %w", err)
	}
	now := timestamppb.New(c.Now())
	token := &isthmusv1.APIToken{
		Name:   adminToken,
		Spec:   &isthmusv1.APITokenSpec{Role: resource.RoleAdmin, Description: "made at the first start"},
		Status: &isthmusv1.APITokenStatus{State: "active", SecretHash: hash},
	}
	resource.SetMetadata(token, resource.Metadata{UID: uuid.NewString(), Generation: 1, CreateTime: now, UpdateTime: now})
	_, err = st.Write(ctx, store.Write{
		Puts:     []store.Put{{Object: token, Part: store.PartAll}},
		Requires: []store.Require{{Key: store.Key{Kind: resource.KindAPIToken, Name: adminToken}, Absent: true}},
		Events: []*isthmusv1.Event{{CreateTime: now, Spec: &isthmusv1.EventSpec{
			Actor: "server", Role: "server", Action: "create", Kind: resource.KindAPIToken, Target: adminToken, TargetUid: token.GetUid(),
			Message: "role admin, made at the first start", DigestAfter: resource.SpecDigest(token),
		}}},
	})
	if fault.CodeOf(err) == fault.AlreadyExists {
		// Another replica was faster; its file has the token, ours would only mislead.
		return os.Remove(path)
	}
	if err != nil {
		return err
	}
	c.Log.Info("made the admin token", "file", path)
	return s.Catchup(ctx)
}
