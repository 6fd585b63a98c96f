package resource

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// nothing is what a table shows where there is no value.
const nothing = "-"

// column is a Column over the kind's own type; an empty value shows as "-".
func column[T Object](title string, value func(T) string) Column {
	return Column{Title: title, Value: func(o Object) string {
		typed, ok := o.(T)
		if !ok {
			return nothing
		}
		if text := value(typed); text != "" {
			return text
		}
		return nothing
	}}
}

// wide makes it a column of -o wide.
func (c Column) wide() Column {
	c.Wide = true
	return c
}

func labelsColumn() Column {
	return Column{Title: "LABELS", Wide: true, Value: func(o Object) string {
		set := o.GetLabels()
		if len(set) == 0 {
			return nothing
		}
		pairs := make([]string, 0, len(set))
		for _, key := range slices.Sorted(maps.Keys(set)) {
			pairs = append(pairs, key+"="+set[key])
		}
		return strings.Join(pairs, ",")
	}}
}

func showTime(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

func showInt(n int32) string { return strconv.Itoa(int(n)) }

// showOn is a fact that may not be known.
func showOn(b *bool) string {
	switch {
	case b == nil:
		return ""
	case *b:
		return "on"
	}
	return "off"
}

func showYes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// choice shows members as they were chosen: by names or by selector.
func choice(names []string, selector string) string {
	if selector != "" {
		return selector
	}
	return strings.Join(names, ",")
}
