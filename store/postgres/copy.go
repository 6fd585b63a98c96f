package postgres

import (
	"encoding/binary"
	"io"

	"isthmus/store/sqlstore"
)

// copying is a statement's rows as COPY takes them in its binary form, row by row as they are read: many rows are never together in memory.
type copying struct {
	columns []sqlstore.Column
	json    []bool
	// row is the next one.
	row, rows int
	// ahead is what was made and is not read yet.
	ahead []byte
	ended bool
}

// The binary form begins with a signature, flags and the length of an extension, and ends with a row of no columns.
const (
	copySignature = "PGCOPY\n\xff\r\n\x00"
	copyHeader    = copySignature + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"
	copyTrailer   = "\xff\xff"
)

func newCopying(s sqlstore.Statement) *copying {
	c := &copying{rows: rowsOf(s), ahead: []byte(copyHeader)}
	for _, arg := range s.Args {
		column := arg.(sqlstore.Column) //nolint:forcetypeassert // as Into says
		c.columns = append(c.columns, column)
		c.json = append(c.json, column.JSON())
	}
	return c
}

// Read implements io.Reader.
func (c *copying) Read(p []byte) (int, error) {
	for len(c.ahead) < len(p) && !c.ended {
		if c.row == c.rows {
			c.ahead, c.ended = append(c.ahead, copyTrailer...), true
			break
		}
		c.ahead = binary.BigEndian.AppendUint16(c.ahead, uint16(len(c.columns)))
		for i, column := range c.columns {
			var err error
			if c.ahead, err = appendCell(c.ahead, c.json[i], column.At(c.row)); err != nil {
				return 0, err
			}
		}
		c.row++
	}
	n := copy(p, c.ahead)
	c.ahead = append(c.ahead[:0], c.ahead[n:]...)
	if n == 0 && c.ended {
		return 0, io.EOF
	}
	return n, nil
}
