package seal_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
)

func TestCheckShape(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	recipient := w.dialer.Attestation.GetAgeRecipient()
	good, err := seal.Seal(w.draft(), w.acceptor.Signer(), []string{recipient}, []byte("token"), noon)
	if err != nil {
		t.Fatal(err)
	}
	want := seal.Shape{
		Kind: seal.KindPeeringToken, UID: "u1", From: w.acceptor.Agent(), FromDatacenter: "dc1", ToDatacenter: "dc2", Recipients: []string{recipient},
	}
	if err := seal.CheckShape(good, want, noon); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(p *isthmusv1.SealedPayload){
		"kind":           func(p *isthmusv1.SealedPayload) { p.Kind = "bundle" },
		"uid":            func(p *isthmusv1.SealedPayload) { p.Uid = "u2" },
		"from":           func(p *isthmusv1.SealedPayload) { p.From = strings.Repeat("x", 1<<20) },
		"fromDatacenter": func(p *isthmusv1.SealedPayload) { p.FromDatacenter = "dc3" },
		"toDatacenter":   func(p *isthmusv1.SealedPayload) { p.ToDatacenter = "dc3" },
		"generation":     func(p *isthmusv1.SealedPayload) { p.Generation = 0 },
		"attempt":        func(p *isthmusv1.SealedPayload) { p.Attempt = 0 },
		"createTime":     func(p *isthmusv1.SealedPayload) { p.CreateTime = timestamppb.New(noon.Add(time.Hour)) },
		"expireTime":     func(p *isthmusv1.SealedPayload) { p.ExpireTime = timestamppb.New(noon.AddDate(8000, 0, 0)) },
		"ciphertext":     func(p *isthmusv1.SealedPayload) { p.Ciphertext = make([]byte, 2<<20) },
		"signature":      func(p *isthmusv1.SealedPayload) { p.Signature = []byte("garbage") },
		"recipients":     func(p *isthmusv1.SealedPayload) { p.Recipients = nil },
		"recipients[0]":  func(p *isthmusv1.SealedPayload) { p.Recipients = []string{"age1"} },
		"recipients[1]":  func(p *isthmusv1.SealedPayload) { p.Recipients = []string{recipient, recipient} },
	} {
		p := proto.CloneOf(good)
		spoil(p)
		err := seal.CheckShape(p, want, noon)
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Code != fault.Invalid || f.Violations[0].Field != "payload."+field || len(f.Message) > 500 {
			t.Errorf("%s: %.200v", field, err)
		}
	}
	for what, spoil := range map[string]func(p *isthmusv1.SealedPayload){
		"createTime": func(p *isthmusv1.SealedPayload) { p.CreateTime = &timestamppb.Timestamp{Seconds: 1 << 60} },
		"expireTime": func(p *isthmusv1.SealedPayload) { p.ExpireTime = nil },
		"recipients": func(p *isthmusv1.SealedPayload) { p.Recipients = make([]string, 300_000) },
	} {
		p := proto.CloneOf(good)
		spoil(p)
		if seal.CheckShape(p, want, noon) == nil {
			t.Errorf("%s: passed", what)
		}
	}
}

// A bundle lives longer than a token, and has no attempts.
func TestCheckShapeOfABundle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	recipient := w.dialer.Attestation.GetAgeRecipient()
	for life, good := range map[time.Duration]bool{30 * 24 * time.Hour: true, 31 * 24 * time.Hour: false} {
		d := w.draft()
		d.Kind, d.Attempt, d.TTL = seal.KindFederationBundle, 0, life
		p, err := seal.Seal(d, w.acceptor.Signer(), []string{recipient}, []byte("bundle"), noon)
		if err != nil {
			t.Fatal(err)
		}
		err = seal.CheckShape(p, seal.Shape{
			Kind: d.Kind, UID: d.UID, From: d.From, FromDatacenter: d.FromDatacenter, ToDatacenter: d.ToDatacenter, Recipients: []string{recipient},
		}, noon)
		if (err == nil) != good {
			t.Errorf("%s: %v", life, err)
		}
	}
}

func TestVerifyMaker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, err := seal.Seal(w.draft(), w.acceptor.Signer(), []string{w.dialer.Attestation.GetAgeRecipient()}, []byte("token"), noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := seal.VerifyMaker(good, w.acceptor.Attestation); err != nil {
		t.Error(err)
	}
	garbage := proto.CloneOf(good)
	garbage.Signature = []byte("garbage")
	for what, err := range map[string]error{
		"another agent": seal.VerifyMaker(good, w.dialer.Attestation),
		"garbage":       seal.VerifyMaker(garbage, w.acceptor.Attestation),
		"nobody":        seal.VerifyMaker(good, nil),
	} {
		if fault.CodeOf(err) != fault.Denied {
			t.Errorf("%s: %v", what, err)
		}
	}
}
