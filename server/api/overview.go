package api

import (
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/feed"
	"isthmus/store"
)

// OverviewService shows the fleet as a whole: what a dashboard needs and no single kind has.
type OverviewService struct {
	isthmusv1.UnimplementedOverviewServiceServer
	*Core
	// Fleets has what GetFleet gives.
	Fleets *Fleets
	// Trends has what GetTrend gives.
	Trends *Trends
	// Journal has the transitions that GetHistory is made of.
	Journal store.Journal
	// Feed tells ListChanges what changed.
	Feed *feed.Feed
}
