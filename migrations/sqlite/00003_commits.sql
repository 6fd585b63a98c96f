-- +goose Up

-- What a resource claims and refers to, as it was written: JSON, [["claim", scope, key], ["reference", field, kind, name]].
-- Whoever changes or deletes it knows by this what to take out of claims and refs, which need no index for it.
ALTER TABLE resources ADD COLUMN relations text NOT NULL DEFAULT '';
-- Differs:
UPDATE resources SET relations = (SELECT json_group_array(json(relation)) FROM (
    SELECT json_array('claim', scope, key) AS relation FROM claims c WHERE c.kind = resources.kind AND c.name = resources.name
    UNION ALL
    SELECT json_array('reference', field, to_kind, to_name) FROM refs f WHERE f.from_kind = resources.kind AND f.from_name = resources.name))
WHERE EXISTS (SELECT 1 FROM claims c WHERE c.kind = resources.kind AND c.name = resources.name)
    OR EXISTS (SELECT 1 FROM refs f WHERE f.from_kind = resources.kind AND f.from_name = resources.name);
DROP INDEX claims_holder;
CREATE TABLE claims_by_key (
    scope text NOT NULL,
    key   text NOT NULL,
    kind  text NOT NULL,
    name  text NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
INSERT INTO claims_by_key (scope, key, kind, name) SELECT scope, key, kind, name FROM claims;
DROP TABLE claims;
ALTER TABLE claims_by_key RENAME TO claims;

-- Who names whom, by whom it is asked for.
CREATE TABLE refs_by_target (
    to_kind   text NOT NULL,
    to_name   text NOT NULL,
    from_kind text NOT NULL,
    from_name text NOT NULL,
    field     text NOT NULL,
    PRIMARY KEY (to_kind, to_name, from_kind, from_name, field)
) WITHOUT ROWID;
INSERT INTO refs_by_target (to_kind, to_name, from_kind, from_name, field) SELECT to_kind, to_name, from_kind, from_name, field FROM refs;
DROP TABLE refs;
ALTER TABLE refs_by_target RENAME TO refs;

-- The feed that readers follow: a row for each transaction, of one write or of many that came together.
CREATE TABLE commits (
    last_index integer PRIMARY KEY,
    -- How many changes it has, and how many the kept ones before it have.
    number     integer NOT NULL,
    preceding  integer NOT NULL,
    -- JSON: [[index, kind, name, uid, operation, part, [datacenter]]], in the order of the first three.
    changes    text NOT NULL
);
DROP TABLE changes;
-- Whoever followed the feed loads everything again. Older servers know another one.
UPDATE revision SET compacted = "index", oldest = 3;
