package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
)

// resign signs a payload as the package comment says, without the package: it is the encoding that every version agrees on.
func resign(p *isthmusv1.SealedPayload, key ed25519.PrivateKey) *isthmusv1.SealedPayload {
	hash := sha256.Sum256(p.GetCiphertext())
	p.Signature = heading("sealed-payload", p).Bytes(hash[:]).Sign(key)
	return p
}

func heading(purpose string, p *isthmusv1.SealedPayload) *identity.Statement {
	return identity.NewStatement(purpose).Text(p.GetKind()).Text(p.GetUid()).Text(p.GetFrom()).
		Text(p.GetFromDatacenter()).Text(p.GetToDatacenter()).Number(int64(p.GetGeneration())).Number(int64(p.GetAttempt())).
		Time(p.GetCreateTime()).Time(p.GetExpireTime()).Texts(p.GetRecipients())
}

// encrypted replaces the content of a payload by what age makes of it.
func encrypted(tb testing.TB, p *isthmusv1.SealedPayload, content []byte) *isthmusv1.SealedPayload {
	tb.Helper()
	recipient, err := age.ParseX25519Recipient(p.GetRecipients()[0])
	if err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipient)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	p = proto.CloneOf(p)
	p.Ciphertext = out.Bytes()
	return p
}

func TestTheFormIsAsItIsWrittenDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.sealed(w.draft(), w.acceptor, w.dialer)
	p = resign(encrypted(t, p, append(heading("sealed-content", p).Digest(), "by hand"...)), w.acceptor.Signer())
	got, err := seal.Open(p, expect(), trusted(w.acceptor), w.fleet.Public(), w.dialer.Opener(), noon)
	if err != nil || string(got) != "by hand" {
		t.Errorf("opened %q, %v", got, err)
	}
}

// An agent that is trusted, together with a hostile server, signs what another one sealed: it cannot read it, but it could
// have the victim use it as its own.
func TestNobodySignsWhatSomebodyElseSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	traitor := w.agent(w.fleet, "dc3")
	colleague := w.agent(w.fleet, "dc1")
	original := w.sealed(w.draft(), w.acceptor, w.dialer)
	for name, tt := range map[string]struct {
		by     *identity.Identity
		change func(*isthmusv1.SealedPayload, *seal.Expect)
	}{
		"as an agent of another datacenter": {traitor, func(p *isthmusv1.SealedPayload, e *seal.Expect) {
			p.From, p.FromDatacenter, e.FromDatacenter = traitor.Agent(), "dc3", "dc3"
		}},
		"as another agent of that datacenter": {colleague, func(p *isthmusv1.SealedPayload, _ *seal.Expect) { p.From = colleague.Agent() }},
		"for another peering":                 {w.acceptor, func(p *isthmusv1.SealedPayload, e *seal.Expect) { p.Uid, e.UID = "u2", "u2" }},
		"for a later generation": {w.acceptor, func(p *isthmusv1.SealedPayload, e *seal.Expect) {
			p.Generation, e.Generation = 4, 4
		}},
		"for longer": {w.acceptor, func(p *isthmusv1.SealedPayload, _ *seal.Expect) {
			p.ExpireTime = timestamppb.New(noon.Add(1000 * time.Hour))
		}},
		"for more recipients": {w.acceptor, func(p *isthmusv1.SealedPayload, _ *seal.Expect) {
			p.Recipients = append(p.Recipients, traitor.Attestation.GetAgeRecipient())
		}},
	} {
		p, want := proto.CloneOf(original), expect()
		tt.change(p, &want)
		plain, err := seal.Open(resign(p, tt.by.Signer()), want, trusted(tt.by), w.fleet.Public(), w.dialer.Opener(), noon)
		if reason(err) != seal.ReasonWrongContent || plain != nil {
			t.Errorf("%s: %q, %v; want %s", name, plain, err, seal.ReasonWrongContent)
		}
	}
}

// A maker that is trusted may still be broken, and a server sends what it likes.
func TestSizesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.sealed(w.draft(), w.acceptor, w.dialer)
	content := append(heading("sealed-content", p).Digest(), make([]byte, seal.MaxPlaintext+1)...)
	large := resign(encrypted(t, p, content), w.acceptor.Signer())
	largest := resign(encrypted(t, p, content[:len(content)-1]), w.acceptor.Signer())
	larger := proto.CloneOf(p)
	larger.Ciphertext = make([]byte, 2*seal.MaxPlaintext)
	crowd := proto.CloneOf(p)
	crowd.Recipients = make([]string, 1000)
	for name, tt := range map[string]struct {
		payload *isthmusv1.SealedPayload
		want    string
	}{
		"as much as is allowed": {largest, ""},
		"a byte more":           {large, seal.ReasonTooLarge},
		"much more":             {larger, seal.ReasonTooLarge},
		"too many recipients":   {crowd, seal.ReasonTooLarge},
	} {
		if _, err := seal.Open(tt.payload, expect(), trusted(w.acceptor), w.fleet.Public(), w.dialer.Opener(), noon); reason(err) != tt.want {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if _, err := seal.Decode(make([]byte, 4*seal.MaxPlaintext)); reason(err) != seal.ReasonTooLarge {
		t.Errorf("decoded: %v", err)
	}
	// The most that can be sealed fits into what can be opened.
	var crowded []string
	for range 256 {
		crowded = append(crowded, w.dialer.Attestation.GetAgeRecipient())
	}
	full, err := seal.Seal(w.draft(), w.acceptor.Signer(), crowded, make([]byte, seal.MaxPlaintext), noon)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := seal.Encode(full)
	if err != nil {
		t.Fatal(err)
	}
	if full, err = seal.Decode(stored); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Open(full, expect(), trusted(w.acceptor), w.fleet.Public(), w.dialer.Opener(), noon); err != nil {
		t.Errorf("the largest payload does not open: %v", err)
	}
}

func TestADraftMustBeWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	to := []string{w.dialer.Attestation.GetAgeRecipient()}
	for name, change := range map[string]func(*seal.Draft){
		"kind":        func(d *seal.Draft) { d.Kind = "" },
		"uid":         func(d *seal.Draft) { d.UID = "" },
		"maker":       func(d *seal.Draft) { d.From = "" },
		"destination": func(d *seal.Draft) { d.ToDatacenter = "" },
		"generation":  func(d *seal.Draft) { d.Generation = -1 },
		"time":        func(d *seal.Draft) { d.TTL = 0 },
	} {
		d := w.draft()
		change(&d)
		if _, err := seal.Seal(d, w.acceptor.Signer(), to, []byte("x"), noon); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if _, err := seal.Seal(w.draft(), nil, to, []byte("x"), noon); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without a key: %v", err)
	}
}

// Whatever field is changed, and however, the payload is refused and has another name.
func TestEveryFieldIsCovered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	original := w.sealed(w.draft(), w.acceptor, w.dialer)
	fields := original.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if !original.ProtoReflect().Has(fields.Get(i)) {
			t.Fatalf("%s is not set, so it is not tested", fields.Get(i).Name())
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		changed := proto.CloneOf(original)
		name := mutate(t, changed)
		plain, err := seal.Open(changed, expect(), trusted(w.acceptor), w.fleet.Public(), w.dialer.Opener(), noon)
		if err == nil || plain != nil {
			t.Fatalf("%s was changed and nobody noticed", name)
		}
		if seal.Digest(changed) == seal.Digest(original) {
			t.Fatalf("%s was changed and the digest is the same", name)
		}
	})
}

func mutate(t *rapid.T, p *isthmusv1.SealedPayload) string {
	m := p.ProtoReflect()
	f := m.Descriptor().Fields().Get(rapid.IntRange(0, m.Descriptor().Fields().Len()-1).Draw(t, "field"))
	if f.IsList() {
		list := m.Mutable(f).List()
		switch rapid.SampledFrom([]string{"change", "double", "clear"}).Draw(t, "how") {
		case "change":
			list.Set(0, protoreflect.ValueOfString(string(flip(t, []byte(list.Get(0).String())))))
		case "double":
			list.Append(list.Get(0))
		case "clear":
			m.Clear(f)
		}
		return string(f.Name())
	}
	if rapid.Bool().Draw(t, "clear") {
		m.Clear(f)
		return string(f.Name())
	}
	switch v := m.Get(f); f.Kind() {
	case protoreflect.StringKind:
		m.Set(f, protoreflect.ValueOfString(string(flip(t, []byte(v.String())))))
	case protoreflect.BytesKind:
		m.Set(f, protoreflect.ValueOfBytes(flip(t, v.Bytes())))
	case protoreflect.Int32Kind:
		m.Set(f, protoreflect.ValueOfInt32(int32(v.Int())+rapid.Int32Range(1, 1000).Draw(t, "more")))
	case protoreflect.MessageKind:
		moment := m.Mutable(f).Message().Interface().(*timestamppb.Timestamp)
		moment.Seconds += rapid.Int64Range(1, 100).Draw(t, "seconds")
	default:
		t.Fatalf("field %s of kind %s", f.Name(), f.Kind())
	}
	return string(f.Name())
}

// flip changes one byte, or takes the last away.
func flip(t *rapid.T, data []byte) []byte {
	changed := bytes.Clone(data)
	if rapid.Bool().Draw(t, "shorter") {
		return changed[:len(changed)-1]
	}
	changed[rapid.IntRange(0, len(changed)-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 127).Draw(t, "flip"))
	return changed
}
