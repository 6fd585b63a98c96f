package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"isthmus/agent"
	"isthmus/fault"
	"isthmus/federation"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
	"isthmus/secretfile"
)

// Forms of an opened bundle.
const (
	formSecret = "secret"
	formFiles  = "files"
	formValues = "values"
	formHCL    = "hcl"
)

// consulConfigDir is where Consul's packages read their configuration.
const consulConfigDir = "/etc/consul.d"

// bundleOpening is what isthmus bundle open was told.
type bundleOpening struct {
	identity, fleetID, out, dir string
	secretName, namespace       string
	helmRelease, apiURL         string
	serverCert                  string
	form                        *choice
}

func (p Program) bundleCommand() *cobra.Command {
	return group("bundle", "Bundles of federations, for datacenters without an agent", p.bundleOpenCommand())
}

func (p Program) bundleOpenCommand() *cobra.Command {
	var o bundleOpening
	cmd := &cobra.Command{
		Use:   "open FILE --identity FILE",
		Short: "Open a bundle that isthmus federation bundle made, and turn it into what Consul reads",
		Long: `Open a bundle with the age key that it was sealed to. Nothing is asked of a server. With --fleet-id only a bundle is opened that an agent
of that fleet made; without it, the fleet that it says is named on standard error.

  secret  the Kubernetes Secret consul-federation, as kubectl apply takes it
  values  Helm values of the secondary, which refer to that Secret
  files   what a server host needs, written into --dir: CA, a server certificate made for this host, a drop-in for Consul's
          configuration, and with ACLs the token of the mesh gateway. The drop-in names the files in --dir: write them where Consul
          reads its configuration
  hcl     the drop-in in Consul's own language, for who keeps Consul's configuration in it. It names files that --format files writes:
          --dir says where they are

All but values hold secrets: with --out they go into a new file that only you can read.`,
		Example: `  isthmus bundle open dc2.bundle --identity key.txt --fleet-id SHA256:… --format secret --namespace consul | kubectl apply -f -
  isthmus bundle open dc2.bundle --identity key.txt --format files --dir /etc/consul.d`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.identity, "identity", "", "file with the age key (AGE-SECRET-KEY-1…, as age-keygen makes it); - is standard input")
	flags.StringVar(&o.fleetID, "fleet-id", "", "the fleet (SHA256:…, see isthmus fleet show) whose agent must have made it")
	flags.StringVar(&o.out, "out", "", "write into this new file, which only you can read, instead of printing it")
	flags.StringVar(&o.dir, "dir", "", "files: the directory to write into; hcl: where the files are (default "+consulConfigDir+")")
	flags.StringVar(&o.secretName, "secret-name", federation.DefaultSecretName, "secret, values: name of the Secret")
	flags.StringVar(&o.namespace, "namespace", "", "secret: namespace of the Secret")
	flags.StringVar(&o.helmRelease, "helm-release", federation.DefaultHelmName, "values: global.name")
	flags.StringVar(&o.apiURL, "kubernetes-api-url", "", "values: URL of the cluster's Kubernetes API as the primary reaches it")
	flags.StringVar(&o.serverCert, "server-cert-secret", federation.DefaultServerCertSecret, "values, keyless: the Secret of the servers' certificate")
	required(cmd, "identity")
	o.form = choiceFlag(cmd, "format", "", "what to make of it", formSecret, formFiles, formValues, formHCL)
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.check(); err != nil {
			return err
		}
		b, err := p.openBundle(args[0], o)
		if err != nil {
			return err
		}
		if o.form.value == formFiles {
			return p.writeBundleFiles(cmd.Context(), b, o.dir)
		}
		text, err := o.render(b)
		if err != nil {
			return err
		}
		sink, err := p.openSecretSink(o.out)
		if err != nil {
			return err
		}
		return sink.give(text)
	}
	return cmd
}

func (o *bundleOpening) check() error {
	if o.form.value == formFiles {
		switch {
		case o.out != "":
			return fault.New(fault.Invalid, "--format files writes several files: name their directory with --dir in place of --out")
		case o.dir == "":
			return fault.New(fault.Invalid, "--format files needs --dir, the directory to write into")
		}
	}
	return nil
}

// openBundle reads and opens a bundle's file.
func (p Program) openBundle(path string, o bundleOpening) (*federation.Bundle, error) {
	sealed, err := readSecretFile(path, p, "the bundle")
	if err != nil {
		return nil, err
	}
	answer := &isthmusv1.RequestBundleResponse{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(sealed), answer); err != nil || answer.GetPayload() == nil {
		return nil, fault.New(fault.Invalid, "%s is no bundle: expected the file that isthmus federation bundle wrote", path)
	}
	opener, err := p.readAgeKey(o.identity)
	if err != nil {
		return nil, err
	}
	fleet, err := makerOf(answer, o.fleetID)
	if err != nil {
		return nil, err
	}
	payload := answer.GetPayload()
	if o.fleetID == "" {
		p.note("Made by agent %s of fleet %s, as it says itself: --fleet-id makes sure.", payload.GetFrom(), identity.KeyID(fleet))
	}
	text, err := seal.Open(payload, seal.Expect{
		Kind: seal.KindFederationBundle, UID: payload.GetUid(), FromDatacenter: payload.GetFromDatacenter(), ToDatacenter: payload.GetToDatacenter(),
		Generation: payload.GetGeneration(),
	}, answer.GetSenders(), fleet, opener, p.Now())
	if err != nil {
		return nil, err
	}
	b, err := federation.DecodeBundle(text)
	if err == nil && b.UID != payload.GetUid() {
		err = fault.New(fault.Denied, "the bundle is of another federation than its seal says")
	}
	return b, err
}

// makerOf finds the fleet key that vouches for a bundle's maker, and checks that it does. An empty id takes the one that is named.
func makerOf(answer *isthmusv1.RequestBundleResponse, fleetID string) (ed25519.PublicKey, error) {
	payload := answer.GetPayload()
	at := slices.IndexFunc(answer.GetSenders(), func(t *isthmusv1.TrustedAgent) bool { return t.GetAttestation().GetAgent() == payload.GetFrom() })
	if at < 0 {
		return nil, fault.New(fault.Denied, "the bundle does not say who its maker %q is", payload.GetFrom())
	}
	maker := answer.GetSenders()[at]
	var named []string
	for _, key := range [][]byte{maker.GetAttestation().GetGrant().GetFleetKey(), maker.GetApproval().GetFleetKey()} {
		if len(key) != ed25519.PublicKeySize {
			continue
		}
		id := identity.KeyID(key)
		if fleetID != "" && id != fleetID {
			named = append(named, id)
			continue
		}
		if err := identity.VerifyTrusted(maker, key); err != nil {
			return nil, err
		}
		if grant := maker.GetAttestation().GetGrant(); grant.GetDatacenter() != payload.GetFromDatacenter() || grant.GetKind() != identity.KindAgent {
			return nil, fault.New(fault.Denied, "the bundle's maker %s is %s of %s, and not an agent of %s", payload.GetFrom(), grant.GetKind(), grant.GetDatacenter(), payload.GetFromDatacenter())
		}
		return key, seal.VerifyMaker(payload, maker.GetAttestation())
	}
	return nil, fault.New(fault.Denied, "the bundle's maker %s is of fleet %s, not of %s: do not use it", payload.GetFrom(), cmp.Or(strings.Join(named, " and "), "unknown"), cmp.Or(fleetID, "any"))
}

// readAgeKey reads the first X25519 key of a file as age-keygen writes it.
func (p Program) readAgeKey(path string) (*age.X25519Identity, error) {
	text, err := readSecretFile(path, p, "the age key")
	if err != nil {
		return nil, err
	}
	identities, err := age.ParseIdentities(strings.NewReader(text))
	if err == nil {
		for _, i := range identities {
			if key, ok := i.(*age.X25519Identity); ok {
				return key, nil
			}
		}
	}
	// The parser's words quote what it read.
	return nil, fault.New(fault.Invalid, "%s has no age key: expected a line AGE-SECRET-KEY-1…, as age-keygen writes it", path)
}

func (o *bundleOpening) render(b *federation.Bundle) (string, error) {
	switch o.form.value {
	case formSecret:
		text, err := b.SecretYAML(o.secretName, o.namespace)
		return string(text), err
	case formHCL:
		text, err := b.HCL(cmp.Or(o.dir, consulConfigDir))
		return string(text), err
	}
	if b.Mode == resource.ModeTraditional {
		return "", fault.New(fault.Refused, "the federation has mode traditional: the Helm chart federates through mesh gateways only")
	}
	if b.ACL && o.apiURL == "" {
		return "", fault.New(fault.Invalid, "ACLs are on: name the URL at which the primary reaches the cluster's Kubernetes API with --kubernetes-api-url")
	}
	return federation.Values{
		Name: o.helmRelease, Datacenter: b.Datacenter, Primary: b.PrimaryDatacenter, ACL: b.ACL, Gossip: b.GossipKey != "",
		SecretName: o.secretName, AuthMethodHost: o.apiURL, Keyless: b.CAKey == "", ServerCertSecret: o.serverCert,
		RetryIntervalWAN: b.RetryIntervalWAN,
	}.YAML(), nil
}

// writeBundleFiles writes what a server reads into a directory, its certificate included unless the federation is keyless.
func (p Program) writeBundleFiles(ctx context.Context, b *federation.Bundle, dir string) error {
	at, err := filepath.Abs(dir)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "find %s", dir)
	}
	files, err := b.HandFiles(at)
	if err != nil {
		return err
	}
	note := fmt.Sprintf("The federation is keyless: put a certificate of its CA and its key into %s and %s; it needs the names %s.",
		filepath.Join(at, federation.FileCert), filepath.Join(at, federation.FileKey), strings.Join(federation.CertificateNames(b.Datacenter, b.Domain), ", "))
	if b.CAKey != "" {
		chain, key, expires, err := agent.HandCertificate(ctx, b, p.Now())
		if err != nil {
			return err
		}
		files[federation.FileCert], files[federation.FileKey] = chain, key
		note = fmt.Sprintf("The certificate is this host's alone and ends on %s: open the bundle on each server's host, and a new one before that day.", expires.UTC().Format(time.DateOnly))
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "make a directory for the bundle")
	}
	for _, name := range sortedKeys(files) {
		if err := secretfile.Write(filepath.Join(at, name), files[name]); err != nil {
			return err
		}
		p.printf("%s\n", filepath.Join(at, name))
	}
	if _, ok := files[federation.FileGatewayToken]; ok {
		note += fmt.Sprintf("\nThe mesh gateway's Consul token is in %s: start it with CONSUL_HTTP_TOKEN_FILE set to that.", filepath.Join(at, federation.FileGatewayToken))
	}
	p.note("%s\nConsul's own user has to be able to read these files. Then restart Consul.", note)
	return nil
}
