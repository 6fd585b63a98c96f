-- +goose Up

-- Who did what: the audit log is searched by both.
CREATE INDEX events_actor ON events (actor, number);
CREATE INDEX events_action ON events (action, number);
