package consul

import (
	"context"
	"crypto/x509"
	"encoding/pem"

	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

// builtinCA is what Consul calls its own mesh CA.
const builtinCA = "consul"

// As is the same Consul with another ACL token.
func (c *Client) As(token Secret) (*Client, error) {
	settings := c.settings
	settings.Token, settings.TokenFile, settings.OwnTokenFile = token, "", ""
	return New(settings, c.log)
}

// MeshRoot is the active root certificate of the service mesh; nil: there is none.
func (c *Client) MeshRoot(ctx context.Context) (*x509.Certificate, error) {
	var root *x509.Certificate
	err := c.do(ctx, "reading the mesh CA", func(ctx context.Context, a *api.Client) error {
		roots, _, err := a.Connect().CARoots(options(ctx, Query{}))
		if err != nil {
			return err
		}
		for _, r := range roots.Roots {
			if block, _ := pem.Decode([]byte(r.RootCertPEM)); r.ID == roots.ActiveRootID && block != nil {
				root, err = x509.ParseCertificate(block.Bytes)
			}
		}
		return err
	})
	return root, err
}

// SetMeshCA gives Consul's built-in mesh CA another root, without a signature of the former one, whose key may not be here. It needs
// operator:write. What the configuration says besides is kept. Refused when the mesh CA is not Consul's own.
func (c *Client) SetMeshCA(ctx context.Context, key Secret, root string) error {
	return c.lead(ctx, "giving the mesh CA a root of its own", func(ctx context.Context, a *api.Client) error {
		config, _, err := a.Connect().CAGetConfig(options(ctx, Query{}))
		if err != nil {
			return err
		}
		if config.Provider != builtinCA {
			return fault.Wrap(fault.Refused, &Problem{Reason: Other, Text: config.Provider}, "the mesh CA is %s's: give it another root there", config.Provider)
		}
		if config.Config == nil {
			config.Config = map[string]any{}
		}
		config.Config["PrivateKey"], config.Config["RootCert"] = key.Reveal(), root
		config.ForceWithoutCrossSigning = true
		_, err = a.Connect().CASetConfig(config, writing(ctx))
		return err
	})
}
