package postgres

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"isthmus/store/sqlstore"
)

// columnCodec sends columns of the store's as arrays, straight from its rows. All else is the codec's that it is in front of.
type columnCodec struct {
	pgtype.Codec
	element uint32
}

// registerColumns teaches a connection to send columns.
func registerColumns(conn *pgx.Conn) {
	for array, element := range map[uint32]uint32{
		pgtype.TextArrayOID: pgtype.TextOID, pgtype.Int8ArrayOID: pgtype.Int8OID,
		pgtype.JSONBArrayOID: pgtype.JSONBOID, pgtype.ByteaArrayOID: pgtype.ByteaOID,
	} {
		if t, ok := conn.TypeMap().TypeForOID(array); ok {
			conn.TypeMap().RegisterType(&pgtype.Type{Name: t.Name, OID: array, Codec: columnCodec{Codec: t.Codec, element: element}})
		}
	}
}

// PreferredFormat implements pgtype.Codec.
func (columnCodec) PreferredFormat() int16 { return pgtype.BinaryFormatCode }

// PlanEncode implements pgtype.Codec.
func (c columnCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(sqlstore.Column); ok && format == pgtype.BinaryFormatCode {
		return c
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

// arrayHeader is how many dimensions, whether there may be nulls, the elements' type, how many, from which number on.
const arrayHeader = 5 * 4

// room is how long the arrays of all columns of a statement are at most, when this is the first of them: each makes its room by copying those
// before it.
func room(column sqlstore.Column) int {
	const length, version = 4, 1
	sum := 0
	cells, columns := column.Leads()
	for _, cell := range cells {
		sum += length + version
		switch v := cell.(type) {
		case int64:
			sum += 8
		case []byte:
			sum += len(v)
		case string:
			sum += len(v)
		}
	}
	return sum + columns*arrayHeader
}

// Encode implements pgtype.EncodePlan: PostgreSQL's binary form of an array.
func (c columnCodec) Encode(value any, buf []byte) ([]byte, error) {
	column := value.(sqlstore.Column)
	n := column.Len()
	buf = slices.Grow(buf, room(column))
	header := [arrayHeader]byte{3: 1, 7: 1, 19: 1}
	binary.BigEndian.PutUint32(header[8:], c.element)
	binary.BigEndian.PutUint32(header[12:], uint32(n))
	buf = append(buf, header[:]...)
	for i := range n {
		var err error
		if buf, err = appendCell(buf, c.element == pgtype.JSONBOID, column.At(i)); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

// appendCell appends a value in PostgreSQL's binary form, with its length before it.
func appendCell(buf []byte, json bool, cell any) ([]byte, error) {
	switch v := cell.(type) {
	case nil:
		return append(buf, 0xff, 0xff, 0xff, 0xff), nil
	case int64:
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(buf, 8), uint64(v)), nil
	case []byte:
		return append(binary.BigEndian.AppendUint32(buf, uint32(len(v))), v...), nil
	case string:
		if json {
			const version = 1
			buf = append(binary.BigEndian.AppendUint32(buf, uint32(len(v)+1)), version)
		} else {
			buf = binary.BigEndian.AppendUint32(buf, uint32(len(v)))
		}
		return append(buf, v...), nil
	}
	return nil, fmt.Errorf("a %T is no element of a column", cell)
}
