-- +goose Up

-- What is wanted and what was seen of it. A write of one of spec and status never touches the other.
CREATE TABLE resources (
    kind        text NOT NULL,
    name        text NOT NULL,
    uid         text NOT NULL,
    labels      text NOT NULL,
    generation  integer NOT NULL,
    "index"     integer NOT NULL,
    create_time text,
    update_time text,
    delete_time text,
    spec        text,
    status      text,
    -- A digest of the fields that the writer knew: another binary's rows are looked at before they are overwritten.
    shape       text NOT NULL,
    -- Datacenters whose plan the resource may alter.
    datacenters text NOT NULL,
    PRIMARY KEY (kind, name)
);

-- The feed that readers follow.
CREATE TABLE changes (
    "index"     integer NOT NULL,
    kind        text NOT NULL,
    name        text NOT NULL,
    uid         text NOT NULL,
    operation   text NOT NULL,
    part        text NOT NULL,
    datacenters text NOT NULL,
    PRIMARY KEY ("index", kind, name)
);

-- The audit log. Each entry's hash is over the entry and the hash before it.
CREATE TABLE events (
    number        integer PRIMARY KEY,
    "index"       integer NOT NULL,
    create_time   text NOT NULL,
    actor         text NOT NULL,
    action        text NOT NULL,
    kind          text NOT NULL,
    target        text NOT NULL,
    spec          text NOT NULL,
    previous_hash text NOT NULL,
    hash          text NOT NULL
);
CREATE INDEX events_target ON events (kind, target, number);

-- What agents reported last, byte for byte.
CREATE TABLE observations (
    datacenter   text NOT NULL,
    part         text NOT NULL,
    agent        text NOT NULL,
    digest       text NOT NULL,
    body         text NOT NULL,
    receive_time text NOT NULL,
    heard_time   text NOT NULL,
    PRIMARY KEY (datacenter, part)
);

-- Ciphertext only.
CREATE TABLE secrets (
    digest      text PRIMARY KEY,
    kind        text NOT NULL,
    body        blob NOT NULL,
    expire_time text
);
CREATE INDEX secrets_expire_time ON secrets (expire_time);

-- Uniqueness beyond names.
CREATE TABLE claims (
    scope text NOT NULL,
    key   text NOT NULL,
    kind  text NOT NULL,
    name  text NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX claims_holder ON claims (kind, name);

-- Who names whom.
CREATE TABLE refs (
    from_kind text NOT NULL,
    from_name text NOT NULL,
    field     text NOT NULL,
    to_kind   text NOT NULL,
    to_name   text NOT NULL,
    PRIMARY KEY (from_kind, from_name, field, to_kind, to_name)
);
CREATE INDEX refs_target ON refs (to_kind, to_name);

-- Times are milliseconds since 1970 by the database's clock.
CREATE TABLE leases (
    name    text PRIMARY KEY,
    holder  text NOT NULL,
    fencing integer NOT NULL,
    expires integer NOT NULL
);

-- One row. Whoever writes resources holds its lock, so the order of indexes is the order of commits.
CREATE TABLE revision (
    only_row   integer PRIMARY KEY CHECK (only_row = 1),
    epoch      text NOT NULL,
    "index"    integer NOT NULL,
    -- Changes up to this index are gone.
    compacted  integer NOT NULL,
    events     integer NOT NULL,
    chain_head text NOT NULL,
    -- The number of the newest migration that a server must have to be let in.
    oldest     integer NOT NULL
);
INSERT INTO revision (only_row, epoch, "index", compacted, events, chain_head, oldest)
VALUES (1, lower(hex(randomblob(16))), 0, 0, 0, '', 1);

-- For people.
CREATE VIEW datacenters AS
SELECT name, labels, spec->>'runtime' AS runtime, status->>'agent' AS agent, status->>'agentSince' AS agent_since,
    status->>'consulVersion' AS consul_version, status->>'servers' AS servers, status->>'leader' AS leader,
    status->>'services' AS services, "index"
FROM resources WHERE kind = 'Datacenter';

CREATE VIEW peerings AS
SELECT name, coalesce(spec->>'acceptor', '(' || (spec->>'externalAcceptor') || ')') AS acceptor,
    coalesce(spec->>'dialer', '(' || (spec->>'externalDialer') || ')') AS dialer, status->>'group' AS peering_group,
    status->>'state' AS state, status->>'verdict' AS verdict, status->>'verdictSince' AS verdict_since,
    status->>'reason' AS reason, status->>'message' AS message, "index"
FROM resources WHERE kind = 'Peering';

CREATE VIEW gateway_endpoints AS
SELECT name, spec->>'datacenter' AS datacenter, spec->>'wanAddress' AS wan_address, spec->>'lanAddress' AS lan_address,
    coalesce(spec->>'source', 'static') AS source, status->>'health' AS health, "index"
FROM resources WHERE kind = 'Gateway';
