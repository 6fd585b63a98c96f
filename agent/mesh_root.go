package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net/url"
	"time"

	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/secretfile"
)

const (
	// meshRootLife is that of the roots that Consul makes itself.
	meshRootLife = 10 * 365 * 24 * time.Hour
	// meshPatience is how long is tried to give a datacenter that left a mesh root of its own. Until all its servers have left, it cannot be.
	meshPatience = 5 * time.Minute
)

func rootDigest(root *x509.Certificate) string {
	sum := sha256.Sum256(root.Raw)
	return hex.EncodeToString(sum[:])
}

// ownMesh gives a datacenter that left a mesh root of its own: Consul goes on with the primary's, whose key it has not, and what it signs
// nobody believes (measured on Consul 1.20). The leader does it. The right to it is the token with which the datacenter replicated: in its
// ACLs the former tokens are still good. Until it has one it has not left, whoever has to see to it.
func (c *courier) ownMesh(ctx context.Context, s situation) error {
	late := !c.now().Before(c.record.OutTime.Add(meshPatience))
	err := c.meshIsOurs(ctx, s, late)
	if reasonOf(err) == reasonMeshCA && (s.leading || late) {
		err = c.giveRoot(ctx)
	}
	if err == nil || !late {
		return err
	}
	return because(fault.Refused, reasonMeshCA,
		"this datacenter keeps the mesh CA of the federation that it left, whose key it has not, and cannot be given one of its own (%s): give it one with consul connect ca set-config", messageOf(err))
}

// meshIsOurs proves that the mesh's root is this datacenter's own. byHand: another than the federation's will do, too.
func (c *courier) meshIsOurs(ctx context.Context, s situation, byHand bool) error {
	if !s.known {
		return because(fault.Unavailable, reasonNoConsul, "waiting for Consul")
	}
	if s.self.Connect == nil || !*s.self.Connect {
		return nil
	}
	root, err := c.consul.MeshRoot(ctx)
	switch {
	case err != nil:
		return err
	case root == nil || root.Subject.CommonName == meshRootName(s.self.Datacenter) || rootDigest(root) == c.record.OwnRoot:
		return nil
	case byHand && c.record.MemberRoot != "" && rootDigest(root) != c.record.MemberRoot:
		return nil
	}
	return because(fault.Unavailable, reasonMeshCA, "waiting until this datacenter has a mesh CA of its own again")
}

// meshRootName is the subject of the roots that isthmus makes.
func meshRootName(datacenter string) string { return "isthmus mesh CA of " + datacenter }

func (c *courier) giveRoot(ctx context.Context) error {
	client := c.consul
	token, err := secretfile.Read(c.path(fileLeaveToken))
	switch {
	case errors.Is(err, fs.ErrNotExist): // without ACLs there is none
	case err != nil:
		return err
	default:
		if client, err = c.consul.As(consul.Secret(token)); err != nil {
			return err
		}
	}
	self, err := client.Self(ctx)
	if err != nil {
		return err
	}
	ca, err := client.MeshCA(ctx)
	if err != nil {
		return err
	}
	key, root, err := newMeshRoot(meshRootName(self.Datacenter), ca.TrustDomain, c.now())
	if err != nil {
		return err
	}
	if err := client.SetMeshCA(ctx, key, root); err != nil {
		return err
	}
	c.log.Info("gave the mesh a root of this datacenter's own", "trust-domain", ca.TrustDomain)
	return nil
}

// newMeshRoot is a root as Consul makes them, and its key, as PEM.
func newMeshRoot(name, trustDomain string, now time.Time) (key consul.Secret, root string, err error) {
	failed := func(err error) (consul.Secret, string, error) {
		return "", "", fault.Wrap(fault.Internal, err, "making a root for the mesh")
	}
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return failed(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return failed(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, URIs: []*url.URL{{Scheme: "spiffe", Host: trustDomain}},
		NotBefore: now.Add(-certificateSkew), NotAfter: now.Add(meshRootLife), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, made.Public(), made)
	if err != nil {
		return failed(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(made)
	if err != nil {
		return failed(err)
	}
	return consul.Secret(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}
