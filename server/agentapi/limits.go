package agentapi

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// What is taken from an agent, which may be anybody's by now. Texts and lists that are only shown are cut; a list that is
// acted on is refused as a whole, since what is missing in it would be taken for gone.
const (
	// maxText and maxSentence: a name of anything, and an error of Consul, not a book.
	maxText     = 1 << 10
	maxSentence = 4 << 10
	// maxPeerings is ten times what Consul is tested with.
	maxPeerings = 5_000
	// maxCatalog is far above what one datacenter's catalog has.
	maxCatalog = 20_000
	// maxFleet is for what there is one of for each other datacenter, or server or gateway there.
	maxFleet = 5_000
	// maxCSR is twice the largest request that anybody makes, with an RSA key of 8,192 bits; maxCA are some certificates.
	maxCSR, maxCA = 4 << 10, 64 << 10
	// maxShort is for lists of which a handful is usual: gateways, features, unknown items.
	maxShort = 256
	// maxEntryParts, maxDrifts and maxPeerFacts are what the messages promise.
	maxEntryParts, maxDrifts, maxPeerFacts = 50, 16, 8
	// maxPart is what one part may be as a whole: gRPC's own limit for a message, unless it is told otherwise.
	maxPart = 4 << 20
)

// limitReport makes a report fit to be stored and shown, or refuses it: Invalid, with the field.
func limitReport(r *isthmusv1.ReportRequest) error {
	f := r.GetFederation()
	for _, list := range []struct {
		field   string
		n, most int
	}{
		{"peerings.peerings", len(r.GetPeerings().GetPeerings()), maxPeerings},
		{"exports.exports", len(r.GetExports().GetExports()), maxCatalog},
		{"federation.loss.items", len(f.GetLoss().GetItems()), federation.MaxLosses},
		{"federation.wanMembers", len(f.GetWanMembers()), maxFleet},
		{"federation.reads", len(f.GetReads()), maxFleet},
		{"federation.probes", len(f.GetProbes()), maxFleet},
		{"federation.bundles", len(f.GetBundles()), maxFleet},
		{"gateway.probes", len(r.GetGateway().GetProbes()), maxFleet},
		{"policy.entries", len(r.GetPolicy().GetEntries()), maxCatalog},
		{"entries.entries", len(r.GetEntries().GetEntries()), maxCatalog},
	} {
		if list.n > list.most {
			return tooMany(list.field, list.n, list.most)
		}
	}
	if err := limitDelivery(r.GetDelivery()); err != nil {
		return err
	}
	if err := limitEntries(r.GetPolicy()); err != nil {
		return err
	}
	if s := r.GetServices(); s != nil {
		s.Services = s.Services[:min(len(s.Services), maxCatalog)]
	}
	if i := r.GetInventory(); i != nil {
		i.Gateways = i.Gateways[:min(len(i.Gateways), maxShort)]
		i.WanAddresses = i.WanAddresses[:min(len(i.WanAddresses), maxShort)]
		i.RpcAddresses = i.RpcAddresses[:min(len(i.RpcAddresses), maxShort)]
		i.CaRoots = i.CaRoots[:min(len(i.CaRoots), maxPeerFacts)]
	}
	for _, p := range r.GetPeerings().GetPeerings() {
		p.PeerRoots = p.PeerRoots[:min(len(p.PeerRoots), maxPeerFacts)]
		p.Dials = p.Dials[:min(len(p.Dials), maxPeerFacts)]
	}
	if rights := r.GetRights(); rights != nil {
		rights.Missing = rights.Missing[:min(len(rights.Missing), maxShort)]
	}
	if f != nil {
		f.CertificateNames = f.CertificateNames[:min(len(f.CertificateNames), maxShort)]
	}
	if a := r.GetAgent(); a != nil {
		a.Features = a.Features[:min(len(a.Features), maxShort)]
		a.UnknownItems = a.UnknownItems[:min(len(a.UnknownItems), maxShort)]
	}
	return limitMessage("", r.ProtoReflect())
}

// limitEntries does it with what came of config entries: a part that is left out would be taken for applied.
func limitEntries(p *isthmusv1.PolicyReport) error {
	for i, e := range p.GetEntries() {
		if n := len(e.GetParts()); n > maxEntryParts {
			return tooMany(fmt.Sprintf("policy.entries[%d].parts", i), n, maxEntryParts)
		}
	}
	if p != nil {
		p.Drifts = p.Drifts[:min(len(p.Drifts), maxDrifts)]
	}
	return nil
}

// limitDelivery does it with what is no text for people: keys and certificates.
func limitDelivery(d *isthmusv1.DeliveryReport) error {
	if host := d.GetHost(); host != nil {
		if n := len(host.GetCsr()); n > maxCSR {
			return fault.Violated(fault.Violation{Field: "delivery.host.csr", Reason: "TooLarge", Message: fmt.Sprintf("is %d bytes; at most %d are taken", n, maxCSR)})
		}
		if n := len(host.GetCsrSignature()); n > ed25519.SignatureSize {
			return fault.Violated(fault.Violation{Field: "delivery.host.csrSignature", Reason: "TooLarge", Message: fmt.Sprintf("is %d bytes; expected %d", n, ed25519.SignatureSize)})
		}
		host.TrustedCas = host.TrustedCas[:min(len(host.TrustedCas), maxShort)]
	}
	if n := len(d.GetOwnCaSignature()); n > ed25519.SignatureSize {
		return fault.Violated(fault.Violation{Field: "delivery.ownCaSignature", Reason: "TooLarge", Message: fmt.Sprintf("is %d bytes; expected %d", n, ed25519.SignatureSize)})
	}
	if d.GetOwnCa() == "" {
		return nil
	}
	ca, ok := plainCA(d.GetOwnCa())
	if !ok {
		return fault.Violated(fault.Violation{
			Field: "delivery.ownCa", Reason: "Invalid",
			Message: fmt.Sprintf("is no PEM of certificates of at most %d KiB: other datacenters' servers would be given it", maxCA>>10),
		})
	}
	d.OwnCa = ca
	return nil
}

// plainCA is a text of certificates without anything between or after them.
func plainCA(text string) (string, bool) {
	if len(text) > maxCA {
		return "", false
	}
	var out bytes.Buffer
	rest := []byte(text)
	for len(bytes.TrimSpace(rest)) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return "", false
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "", false
		}
		if err := pem.Encode(&out, &pem.Block{Type: block.Type, Bytes: block.Bytes}); err != nil {
			return "", false
		}
	}
	return out.String(), true
}

// limitEnrolment does the same with what an agent says of itself when it enrols.
func limitEnrolment(r *isthmusv1.EnrolRequest) {
	r.Version, r.Host = plainText(r.GetVersion(), maxText), plainText(r.GetHost(), maxText)
	r.Features = r.Features[:min(len(r.Features), maxShort)]
	for i, feature := range r.Features {
		r.Features[i] = plainText(feature, maxText)
	}
}

func tooMany(field string, n, most int) error {
	return fault.Violated(fault.Violation{Field: field, Reason: "TooLarge", Message: fmt.Sprintf("has %d entries; at most %d are taken", n, most)})
}

// limitMessage cuts the texts of a message and of all in it, and refuses times that are none. Parts are measured after.
func limitMessage(path string, m protoreflect.Message) error {
	if t, ok := m.Interface().(*timestamppb.Timestamp); ok {
		if t.CheckValid() != nil {
			return fault.Violated(fault.Violation{Field: path, Reason: "Invalid", Message: "is no time"})
		}
		return nil
	}
	var err error
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		err = limitField(join(path, field), m, field, value)
		if err == nil && path == "" && field.Kind() == protoreflect.MessageKind {
			err = limitSize(join(path, field), value.Message())
		}
		return err == nil
	})
	return err
}

func limitField(path string, m protoreflect.Message, field protoreflect.FieldDescriptor, value protoreflect.Value) error {
	switch {
	case field.Kind() == protoreflect.StringKind && field.IsList():
		for i := range value.List().Len() {
			value.List().Set(i, protoreflect.ValueOfString(plainText(value.List().Get(i).String(), maxText)))
		}
	case field.Kind() == protoreflect.StringKind && field.Name() == "own_ca":
		// See limitDelivery: its lines stay lines.
	case field.Kind() == protoreflect.StringKind:
		most := maxText
		switch field.Name() {
		case "error", "message", "found", "wanted", "fix":
			most = maxSentence
		case "json":
			most = maxPart // half of an entry would be none
		}
		if text := plainText(value.String(), most); text != value.String() {
			m.Set(field, protoreflect.ValueOfString(text))
		}
	case field.Kind() == protoreflect.MessageKind && field.IsList():
		for i := range value.List().Len() {
			if err := limitMessage(fmt.Sprintf("%s[%d]", path, i), value.List().Get(i).Message()); err != nil {
				return err
			}
		}
	case field.Kind() == protoreflect.MessageKind:
		return limitMessage(path, value.Message())
	}
	return nil
}

func limitSize(path string, part protoreflect.Message) error {
	if n := proto.Size(part.Interface()); n > maxPart {
		return fault.Violated(fault.Violation{Field: path, Reason: "TooLarge", Message: fmt.Sprintf("is %d bytes; at most %d are taken", n, maxPart)})
	}
	return nil
}

func join(path string, field protoreflect.FieldDescriptor) string {
	if path == "" {
		return field.JSONName()
	}
	return path + "." + field.JSONName()
}

// plainText makes a text fit for logs, terminals and every database (PostgreSQL's jsonb refuses NUL): without what controls
// any of them, and not longer than most.
func plainText(text string, most int) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, resource.Cut(text, most))
}
