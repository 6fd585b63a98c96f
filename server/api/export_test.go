package api

import (
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// Fitting is fitting.
func Fitting(entries []*isthmusv1.Event) int { return fitting(entries) }

// NewProspect is a fleet as it would be with some resources put and others gone.
func NewProspect(v *snapshot.View, put, gone []resource.Object) resource.Reader {
	var edits []*edit
	for _, o := range put {
		edits = append(edits, &edit{kind: resource.KindOf(o), after: o})
	}
	for _, o := range gone {
		edits = append(edits, &edit{kind: resource.KindOf(o), before: o})
	}
	return newProspect(v, edits)
}
