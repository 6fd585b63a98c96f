package api

import isthmusv1 "isthmus/proto/isthmus/v1"

// Fitting is fitting.
func Fitting(entries []*isthmusv1.Event) int { return fitting(entries) }
