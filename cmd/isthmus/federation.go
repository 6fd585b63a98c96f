package main

import (
	"cmp"
	"context"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/fault"
	"isthmus/federation"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
)

func (p Program) federationCommand() *cobra.Command {
	return group("federation", "WAN federations: plans, Helm values, bundles by hand",
		p.listCommand("Show federations and how far they have come", resource.KindFederation),
		p.federationPlanCommand(), p.federationValuesCommand(), p.federationBundleCommand())
}

func (p Program) federationValuesCommand() *cobra.Command {
	var datacenter, serverCert string
	cmd := &cobra.Command{
		Use:   "values NAME --datacenter NAME",
		Short: "Print the Helm values of a datacenter on Kubernetes, primary or secondary",
		Long: `Print the values of Consul's Helm chart for one datacenter of a federation: what is special for the primary or for a secondary, to be
merged into what else it has. There is no secret in them: a secondary's refer to the Secret that its agent delivers (or isthmus bundle
open --format secret makes).`,
		Example: `  isthmus federation values global --datacenter dc2 > federation.yaml
  helm upgrade --install consul hashicorp/consul -n consul -f values.yaml -f federation.yaml`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&datacenter, "datacenter", "", "the datacenter")
	cmd.Flags().StringVar(&serverCert, "server-cert-secret", federation.DefaultServerCertSecret, "keyless: the Secret of the servers' certificate, as its agent's --server-cert-secret says")
	required(cmd, "datacenter")
	conn := p.connectionOf(cmd)
	completeFlag(cmd, "datacenter", conn.completeName(resource.KindDatacenter))
	cmd.ValidArgsFunction = conn.completeName(resource.KindFederation)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		f, err := client.Lookup[*isthmusv1.Federation](ctx, c, args[0])
		if err != nil {
			return err
		}
		dc, err := client.Lookup[*isthmusv1.Datacenter](ctx, c, datacenter)
		if err != nil {
			return err
		}
		primary := dc
		if datacenter != f.GetSpec().GetPrimary() {
			if primary, err = client.Lookup[*isthmusv1.Datacenter](ctx, c, f.GetSpec().GetPrimary()); err != nil {
				return err
			}
		}
		values, err := valuesOf(f, dc, primary)
		if err != nil {
			return err
		}
		values.ServerCertSecret = serverCert
		return p.write([]byte(values.YAML()))
	})
	return cmd
}

// valuesOf are a datacenter's Helm values in a federation.
func valuesOf(f *isthmusv1.Federation, dc, primary *isthmusv1.Datacenter) (federation.Values, error) {
	kubernetes := dc.GetSpec().GetKubernetes()
	// What all of them have, the primary says; before its agent has, what Consul's documents advise.
	unlessOff := func(flag *bool) bool { return flag == nil || *flag }
	status := primary.GetStatus()
	if status == nil {
		status = &isthmusv1.DatacenterStatus{}
	}
	v := federation.Values{
		Name: kubernetes.GetHelmRelease(), Datacenter: consulName(dc), SecretName: kubernetes.GetSecretName(),
		ACL: unlessOff(status.AclEnabled), Gossip: unlessOff(status.GossipEncrypted), //nolint:protogetter // unset is told from false
		AuthMethodHost: kubernetes.GetApiUrl(), Keyless: f.GetSpec().GetKeyless(),
		RetryIntervalWAN: f.GetSpec().GetRetryIntervalWan(),
	}
	if dc != primary {
		v.Primary = consulName(primary)
	}
	member := dc == primary || resource.MemberOf(f, dc.GetName()) != nil
	for _, name := range f.GetSpec().GetSecondaries() {
		member = member || name == dc.GetName()
	}
	switch {
	case !member:
		return v, fault.New(fault.Refused, "datacenter %s is not in Federation %s", dc.GetName(), f.GetName())
	case dc.GetSpec().GetRuntime() != resource.RuntimeKubernetes:
		return v, fault.New(fault.Refused, "datacenter %s has runtime %s: Helm values are for runtime kubernetes; on virtual machines the agents write Consul's configuration themselves",
			dc.GetName(), dc.GetSpec().GetRuntime())
	case f.GetSpec().GetMode() == resource.ModeTraditional:
		return v, fault.New(fault.Refused, "Federation %s has mode traditional: the Helm chart federates through mesh gateways only", f.GetName())
	case v.Primary != "" && v.ACL && v.AuthMethodHost == "":
		return v, fault.New(fault.Refused, "k8sAuthMethodHost is not known: set spec.kubernetes.apiUrl of Datacenter %s to the URL at which the primary reaches its Kubernetes API", dc.GetName())
	}
	return v, nil
}

func consulName(dc *isthmusv1.Datacenter) string {
	return cmp.Or(dc.GetSpec().GetConsulDatacenter(), dc.GetName())
}

// bundleAsk is what isthmus federation bundle was told.
type bundleAsk struct {
	datacenter, recipient, out string
	unsigned                   bool
	wait                       time.Duration
}

func (p Program) federationBundleCommand() *cobra.Command {
	var ask bundleAsk
	cmd := &cobra.Command{
		Use:   "bundle NAME --datacenter NAME --recipient age1…",
		Short: "Have the bundle of a datacenter without an agent made, sealed to a person",
		Long: `Have the primary's agent make the bundle that a datacenter without an agent joins with: CA, gossip key, tokens of its own. It comes
sealed to the recipient's age key (age-keygen makes one), who opens it with isthmus bundle open. It makes its holder an administrator of
the primary. Only admins may ask, and the audit log tells who did, and for whom.

The recipient is signed with the fleet key, which the primary's agent checks. With --unsigned that agent has to allow the recipient by
its own flag --allow-bundle-recipient.`,
		Example: `  isthmus federation bundle global --datacenter dc2 --recipient age1… --out dc2.bundle
  isthmus bundle open dc2.bundle --identity key.txt --format files --dir /etc/consul.d`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&ask.datacenter, "datacenter", "", "the secondary that it is for")
	flags.StringVar(&ask.recipient, "recipient", "", "age recipient (age1…) of who is to open it")
	flags.StringVar(&ask.out, "out", "", "write the bundle into this new file, which only you can read, instead of printing it")
	flags.BoolVar(&ask.unsigned, "unsigned", false, "do not sign the recipient with the fleet key")
	flags.DurationVar(&ask.wait, "wait", 30*time.Second, "wait so long for the primary's agent")
	required(cmd, "datacenter")
	required(cmd, "recipient")
	key := p.fleetKeyFlag(cmd)
	conn := p.connectionOf(cmd)
	completeFlag(cmd, "datacenter", conn.completeName(resource.KindDatacenter))
	cmd.ValidArgsFunction = conn.completeName(resource.KindFederation)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		var fleet *identity.FleetKey
		if !ask.unsigned {
			var err error
			if fleet, err = key.load(); err != nil {
				return err
			}
		}
		sink, err := p.openSecretSink(ask.out)
		if err != nil {
			return err
		}
		text, err := p.requestBundle(ctx, c, args[0], ask, fleet)
		if err != nil {
			sink.abandon()
			return err
		}
		return sink.give(text)
	})
	return cmd
}

// requestBundle asks for a bundle and gives the text of its file. A bundle that no agent of the fleet made is refused here already.
func (p Program) requestBundle(ctx context.Context, c *client.Client, name string, ask bundleAsk, fleet *identity.FleetKey) (string, error) {
	if _, err := age.ParseX25519Recipient(ask.recipient); err != nil {
		return "", fault.New(fault.Invalid, "%q is no age recipient: expected age1…, as age-keygen prints it", ask.recipient)
	}
	f, err := client.Lookup[*isthmusv1.Federation](ctx, c, name)
	if err != nil {
		return "", err
	}
	request := &isthmusv1.RequestBundleRequest{Name: name, Datacenter: ask.datacenter, Recipient: ask.recipient, Wait: ask.wait.String()}
	if fleet != nil {
		signed := &isthmusv1.BundleRequest{Datacenter: ask.datacenter, Recipient: ask.recipient}
		identity.SignRecipient(fleet, f.GetUid(), signed, p.Now())
		request.FleetKey, request.Signature, request.CreateTime = signed.GetFleetKey(), signed.GetSignature(), signed.GetCreateTime()
	}
	answer, err := c.RequestBundle(ctx, request)
	if err != nil {
		return "", err
	}
	payload := answer.GetPayload()
	if payload.GetKind() != seal.KindFederationBundle || payload.GetUid() != f.GetUid() || payload.GetToDatacenter() != ask.datacenter {
		return "", fault.New(fault.Denied, "the server answers with something else than the bundle of %s: do not use it", ask.datacenter)
	}
	if fleet != nil {
		if _, err := makerOf(answer, fleet.ID()); err != nil {
			return "", err
		}
	}
	raw, err := messageJSON(answer, false)
	if err != nil {
		return "", err
	}
	return indented(raw)
}
