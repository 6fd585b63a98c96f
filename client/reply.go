package client

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	"isthmus/resource"
)

// Answers are asked for in protobuf, which costs a large list a tenth of what JSON does. A server that does not know of that answers in JSON, as
// every server does with an error.
const (
	protobufType = "application/protobuf"
	accepted     = protobufType + ", application/json;q=0.5"
)

// reply is a successful answer.
type reply struct {
	data []byte
	// encoded: data is protobuf; JSON otherwise.
	encoded bool
	// index that the answer is as of; 0 when the server gave none.
	index uint64
}

func isProtobuf(h http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && mediaType == protobufType
}

// decode reads an answer leniently: a newer server may send fields that this binary does not know.
func (r reply) decode(out proto.Message) error {
	if r.encoded {
		return decodeProtobuf(r.data, out)
	}
	return decodeJSON(r.data, out)
}

func decodeProtobuf(data []byte, out proto.Message) error {
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, out); err != nil {
		return notIsthmus(err)
	}
	return nil
}

func decodeJSON(data []byte, out proto.Message) error {
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, out); err != nil {
		return notIsthmus(err)
	}
	return nil
}

// page reads an answer as a page of a kind's list.
func (r reply) page(kind resource.Kind) (page, error) {
	if r.encoded {
		return r.protobufPage(kind)
	}
	return r.jsonPage(kind)
}

// What every list's answer is made of: its resources, and the token of the next page.
const (
	resourcesNumber = 1
	nextNumber      = 2
)

// errText is what protobuf does not allow in a text.
var errText = errors.New("a page's token is not UTF-8")

// protobufPage takes a list of any kind apart by the numbers of its fields.
func (r reply) protobufPage(kind resource.Kind) (page, error) {
	p := page{index: r.index}
	for data := r.data; len(data) > 0; {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			return page{}, notIsthmus(protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(number, wire, data[n:])
		if size < 0 {
			return page{}, notIsthmus(protowire.ParseError(size))
		}
		field := data[n : n+size]
		data = data[n+size:]
		if wire != protowire.BytesType {
			continue // of a newer server
		}
		value, _ := protowire.ConsumeBytes(field)
		switch int(number) {
		case resourcesNumber:
			o := kind.New()
			if err := decodeProtobuf(value, o); err != nil {
				return page{}, err
			}
			p.objects = append(p.objects, o)
		case nextNumber:
			if !utf8.Valid(value) {
				return page{}, notIsthmus(errText)
			}
			p.next = string(value)
		}
	}
	return p, nil
}

// jsonPage takes a list of any kind apart by the names of its members.
func (r reply) jsonPage(kind resource.Kind) (page, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(r.data, &members); err != nil {
		return page{}, notIsthmus(err)
	}
	p := page{index: r.index}
	var items []json.RawMessage
	if raw, ok := members[fieldOf(kind)]; ok {
		if err := json.Unmarshal(raw, &items); err != nil {
			return page{}, notIsthmus(err)
		}
	}
	for _, item := range items {
		o := kind.New()
		if err := decodeJSON(item, o); err != nil {
			return page{}, err
		}
		p.objects = append(p.objects, o)
	}
	if raw, ok := members["nextPageToken"]; ok {
		if err := json.Unmarshal(raw, &p.next); err != nil {
			return page{}, notIsthmus(err)
		}
	}
	return p, nil
}

func notIsthmus(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the answer is not isthmus's: is the address right, and is there a proxy between?")
}
