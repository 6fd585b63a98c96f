-- +goose Up

-- What is wanted and what was seen of it. A write of one of spec and status never touches the other.
CREATE TABLE resources (
    kind        text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    uid         text COLLATE "C" NOT NULL,
    labels      jsonb NOT NULL,
    generation  bigint NOT NULL,
    "index"     bigint NOT NULL,
    create_time text COLLATE "C",
    update_time text COLLATE "C",
    delete_time text COLLATE "C",
    spec        jsonb,
    status      jsonb,
    -- A digest of the fields that the writer knew: another binary's rows are looked at before they are overwritten.
    shape       text COLLATE "C" NOT NULL,
    -- Datacenters whose plan the resource may alter.
    datacenters jsonb NOT NULL,
    PRIMARY KEY (kind, name)
);

-- The feed that readers follow.
CREATE TABLE changes (
    "index"     bigint NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    uid         text COLLATE "C" NOT NULL,
    operation   text COLLATE "C" NOT NULL,
    part        text COLLATE "C" NOT NULL,
    datacenters jsonb NOT NULL,
    PRIMARY KEY ("index", kind, name)
);

-- The audit log. Each entry's hash is over the entry and the hash before it.
CREATE TABLE events (
    number        bigint PRIMARY KEY,
    "index"       bigint NOT NULL,
    create_time   text COLLATE "C" NOT NULL,
    actor         text COLLATE "C" NOT NULL,
    action        text COLLATE "C" NOT NULL,
    kind          text COLLATE "C" NOT NULL,
    target        text COLLATE "C" NOT NULL,
    spec          jsonb NOT NULL,
    previous_hash text COLLATE "C" NOT NULL,
    hash          text COLLATE "C" NOT NULL
);
CREATE INDEX events_target ON events (kind, target, number);

-- What agents reported last, byte for byte.
CREATE TABLE observations (
    datacenter   text COLLATE "C" NOT NULL,
    part         text COLLATE "C" NOT NULL,
    agent        text COLLATE "C" NOT NULL,
    digest       text COLLATE "C" NOT NULL,
    body         text COLLATE "C" NOT NULL,
    receive_time text COLLATE "C" NOT NULL,
    heard_time   text COLLATE "C" NOT NULL,
    PRIMARY KEY (datacenter, part)
);

-- Ciphertext only.
CREATE TABLE secrets (
    digest      text COLLATE "C" PRIMARY KEY,
    kind        text COLLATE "C" NOT NULL,
    body        bytea NOT NULL,
    expire_time text COLLATE "C"
);
CREATE INDEX secrets_expire_time ON secrets (expire_time);

-- Uniqueness beyond names.
CREATE TABLE claims (
    scope text COLLATE "C" NOT NULL,
    key   text COLLATE "C" NOT NULL,
    kind  text COLLATE "C" NOT NULL,
    name  text COLLATE "C" NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX claims_holder ON claims (kind, name);

-- Who names whom.
CREATE TABLE refs (
    from_kind text COLLATE "C" NOT NULL,
    from_name text COLLATE "C" NOT NULL,
    field     text COLLATE "C" NOT NULL,
    to_kind   text COLLATE "C" NOT NULL,
    to_name   text COLLATE "C" NOT NULL,
    PRIMARY KEY (from_kind, from_name, field, to_kind, to_name)
);
CREATE INDEX refs_target ON refs (to_kind, to_name);

-- Times are milliseconds since 1970 by the database's clock.
CREATE TABLE leases (
    name    text COLLATE "C" PRIMARY KEY,
    holder  text COLLATE "C" NOT NULL,
    fencing bigint NOT NULL,
    expires bigint NOT NULL
);

-- One row. Whoever writes resources holds its lock, so the order of indexes is the order of commits.
CREATE TABLE revision (
    only_row   bigint PRIMARY KEY CHECK (only_row = 1),
    epoch      text COLLATE "C" NOT NULL,
    "index"    bigint NOT NULL,
    -- Changes up to this index are gone.
    compacted  bigint NOT NULL,
    events     bigint NOT NULL,
    chain_head text COLLATE "C" NOT NULL,
    -- The number of the newest migration that a server must have to be let in.
    oldest     bigint NOT NULL
);
INSERT INTO revision (only_row, epoch, "index", compacted, events, chain_head, oldest)
VALUES (1, gen_random_uuid()::text, 0, 0, 0, '', 1);

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
