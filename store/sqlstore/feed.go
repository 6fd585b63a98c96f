package sqlstore

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"isthmus/fault"
	"isthmus/store"
)

// feedText is the column of a transaction's changes: JSON, [[index, kind, name, uid, operation, part, [datacenter]]].
func feedText(changes []store.Change) string {
	out := make([]byte, 0, 128*len(changes))
	out = append(out, '[')
	for i := range changes {
		c := &changes[i]
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendUint(append(out, '['), c.Index, 10)
		for _, text := range [...]string{c.Key.Kind, c.Key.Name, c.UID, string(c.Operation), string(c.Part)} {
			out = appendText(append(out, ','), text)
		}
		out = append(appendTexts(append(out, ','), c.Datacenters...), ']')
	}
	return string(append(out, ']'))
}

// feedRow is a change in its column.
type feedRow store.Change

// UnmarshalJSON implements json.Unmarshaler.
func (c *feedRow) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&c.Index, &c.Key.Kind, &c.Key.Name, &c.UID, &c.Operation, &c.Part, &c.Datacenters})
}

// parseFeed appends those of a transaction's changes that come after an index.
func parseFeed(into []store.Change, text []byte, after uint64) ([]store.Change, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var rows []feedRow
	if err := decoder.Decode(&rows); err != nil {
		return into, fault.Wrap(fault.Internal, err, "reading the changes of a transaction")
	}
	for _, row := range rows {
		if row.Index <= after {
			continue
		}
		if len(row.Datacenters) == 0 {
			row.Datacenters = nil
		}
		into = append(into, store.Change(row))
	}
	return into, nil
}

// whole cuts changes down to limit of them, or to the first index when that has more: an index comes with all its changes.
func whole(changes []store.Change, limit int) []store.Change {
	if len(changes) <= limit {
		return changes
	}
	// The index that does not fit goes; if it is the first one, it stays.
	cut := changes[max(limit, 0)].Index
	if cut == changes[0].Index {
		end := slices.IndexFunc(changes, func(c store.Change) bool { return c.Index > cut })
		if end < 0 {
			end = len(changes)
		}
		return changes[:end]
	}
	return changes[:slices.IndexFunc(changes, func(c store.Change) bool { return c.Index == cut })]
}
