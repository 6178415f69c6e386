-- One text for SQLite and PostgreSQL: ids are UUIDv7 text, times are microseconds since 1970 in UTC (0 = never), sealed
-- values and keyed hashes are BYTEA (which SQLite takes as "store what is given"), enumerations are text.

-- +goose Up
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL -- JSON
);

-- The data key that seals everything below, itself sealed under the master key that only the operator holds.
CREATE TABLE data_key (
    id         BIGINT PRIMARY KEY,
    wrapped    BYTEA  NOT NULL,
    created_at BIGINT NOT NULL
);

-- Numbers for people, counted without gaps under concurrent writers.
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counter (name, value) VALUES ('incident', 0);

CREATE TABLE account (
    id            TEXT PRIMARY KEY,
    email         TEXT    NOT NULL UNIQUE, -- lower case
    name          TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    disabled      BOOLEAN NOT NULL,
    password_hash TEXT    NOT NULL, -- argon2id in PHC form
    created_at    BIGINT  NOT NULL
);
-- There is exactly one Owner, whatever two set-up forms are sent at once.
CREATE UNIQUE INDEX account_one_owner ON account (role) WHERE role = 'owner';

CREATE TABLE session (
    id_hash    BYTEA PRIMARY KEY, -- SHA-256 of the cookie
    account_id TEXT   NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX session_account ON session (account_id);

CREATE TABLE api_token (
    id         TEXT PRIMARY KEY,
    account_id TEXT   NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name       TEXT   NOT NULL,
    token_hash BYTEA  NOT NULL UNIQUE, -- SHA-256 of the token
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL -- 0 = never
);
CREATE INDEX api_token_account ON api_token (account_id);

-- Failed logins in the current window, by account and by address.
CREATE TABLE login_failure (
    subject    TEXT PRIMARY KEY, -- "email:…" or "addr:…"
    count      BIGINT NOT NULL,
    window_end BIGINT NOT NULL
);

CREATE TABLE audit (
    id       TEXT PRIMARY KEY,
    at       BIGINT NOT NULL,
    actor_id TEXT   NOT NULL, -- empty when Magpie itself acted
    actor    TEXT   NOT NULL, -- e-mail at the time, so the row stays readable
    action   TEXT   NOT NULL,
    subject  TEXT   NOT NULL,
    detail   TEXT   NOT NULL
);

CREATE TABLE integration (
    id           TEXT PRIMARY KEY,
    mode         TEXT    NOT NULL,
    base_url     TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    token_sealed BYTEA   NOT NULL,
    token_user   TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    state_reason TEXT    NOT NULL,
    state_since  BIGINT  NOT NULL,
    autoscan     BOOLEAN NOT NULL,
    auto_monitor BOOLEAN NOT NULL,
    created_by   TEXT    NOT NULL,
    created_at   BIGINT  NOT NULL,
    synced_at    BIGINT  NOT NULL,
    sync_error   TEXT    NOT NULL,
    sync_wanted  BIGINT  NOT NULL, -- when a sync was last asked for; one that read an older value runs again
    removing     BOOLEAN NOT NULL, -- hooks are being taken away; gone when that is done
    auth_refused_at    BIGINT NOT NULL DEFAULT 0, -- last refusal of the token if nothing but refusals came after it; else 0
    auth_refused_for   BIGINT NOT NULL DEFAULT 0, -- how long it was refused since auth_failing_since, without times when nobody answered
    auth_failing_since BIGINT NOT NULL DEFAULT 0, -- first refusal of the token since it last worked; 0 = it works
    token_expires_at   BIGINT NOT NULL DEFAULT 0, -- 0 = never, or not known
    sync_place         TEXT   NOT NULL DEFAULT '', -- how far an unfinished sync came, as JSON; empty = none is under way
    sweep_id           TEXT   NOT NULL DEFAULT '', -- the sweep that still walks its repositories; empty = none
    sweep_after        TEXT   NOT NULL DEFAULT ''  -- the last repository that it came to
);
-- Two integrations of one instance as a whole would watch everything twice.
CREATE UNIQUE INDEX integration_whole_instance ON integration (base_url) WHERE mode = 'instance' AND NOT removing;

CREATE TABLE project (
    id             TEXT PRIMARY KEY,
    integration_id TEXT    NOT NULL REFERENCES integration (id) ON DELETE CASCADE,
    remote_id      BIGINT  NOT NULL,
    key            TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    personal       BOOLEAN NOT NULL,
    installed      BOOLEAN NOT NULL,
    synced_at      BIGINT  NOT NULL, -- when its repositories were last listed to the end; 0 = never
    seen_in_sync   TEXT    NOT NULL, -- the sync that last saw it
    auto_monitor   TEXT    NOT NULL DEFAULT '', -- whether new repositories are monitored: on, off, or empty = as the integration
    insights       BOOLEAN NOT NULL DEFAULT FALSE, -- report leaks on commits of open pull requests
    insights_error TEXT    NOT NULL DEFAULT '', -- why Bitbucket takes no such report; empty while it does
    UNIQUE (integration_id, remote_id)
);

CREATE TABLE repo (
    id             TEXT PRIMARY KEY,
    integration_id TEXT    NOT NULL REFERENCES integration (id) ON DELETE CASCADE,
    project_id     TEXT    NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    remote_id      BIGINT  NOT NULL,
    slug           TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    clone_url      TEXT    NOT NULL,
    browse_url     TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    state_reason   TEXT    NOT NULL,
    monitored      BOOLEAN NOT NULL,
    hook_state     TEXT    NOT NULL,
    hook_reason    TEXT    NOT NULL,
    history        TEXT    NOT NULL,
    last_push_at   BIGINT  NOT NULL,
    last_scan_at   BIGINT  NOT NULL,
    created_at     BIGINT  NOT NULL,
    looked_at      BIGINT  NOT NULL, -- when its first look was asked for; 0 = never, so nothing is known to compare with
    seen_in_sync   TEXT    NOT NULL, -- the sync that last saw it; another one then knows it is gone
    baseline_at    BIGINT  NOT NULL DEFAULT 0, -- when its first tips were taken; 0: pushes can't be compared yet
    default_branch TEXT    NOT NULL DEFAULT '', -- full ref name; empty: not known, or the repository is empty
    compared_at    BIGINT  NOT NULL DEFAULT 0, -- when all its refs were last found to be scanned, or were scanned; 0 = never
    UNIQUE (integration_id, remote_id)
);
CREATE INDEX repo_project ON repo (project_id);

-- A webhook that we put, or are about to put, on a repository. Its id is the secret-looking part of its address.
CREATE TABLE hook (
    id            TEXT PRIMARY KEY,
    repo_id       TEXT   NOT NULL UNIQUE REFERENCES repo (id) ON DELETE CASCADE,
    secret_sealed BYTEA  NOT NULL,
    url           TEXT   NOT NULL, -- under which it is known at Bitbucket; differs from ours after ours changed
    remote_id     BIGINT NOT NULL, -- Bitbucket's id, 0 until it was created there
    created_at    BIGINT NOT NULL, -- when it was last about to be created at Bitbucket
    checked_at    BIGINT NOT NULL  -- when it was last seen at Bitbucket as it should be; 0 = never
);

-- Names of repositories whose integration was removed, since incidents outlive them.
CREATE TABLE former_repo (
    id         TEXT PRIMARY KEY,
    full_name  TEXT NOT NULL,
    browse_url TEXT NOT NULL
);

-- Where a repository has been looked at. Everything reachable from a tip is either scanned or part of the history
-- scan's own task, so a push needs only what lies beyond all tips.
CREATE TABLE tip (
    repo_id    TEXT   NOT NULL REFERENCES repo (id) ON DELETE CASCADE,
    ref        TEXT   NOT NULL,
    hash       TEXT   NOT NULL,
    scanned_at BIGINT NOT NULL, -- 0: a baseline taken when monitoring began, not itself scanned
    PRIMARY KEY (repo_id, ref)
);
CREATE INDEX tip_unscanned ON tip (repo_id) WHERE scanned_at = 0;

-- One signed event. Its hashes are asked for by the scan job that was born with it.
CREATE TABLE delivery (
    id          TEXT PRIMARY KEY,
    repo_id     TEXT   NOT NULL REFERENCES repo (id) ON DELETE CASCADE,
    request_id  TEXT   NOT NULL,
    event_key   TEXT   NOT NULL,
    actor       TEXT   NOT NULL,
    changes     TEXT   NOT NULL, -- JSON array of the moved refs: [{"ref","from","to"}]
    received_at BIGINT NOT NULL,
    scanned_at  BIGINT NOT NULL, -- 0 until a scan has dealt with it
    sent_at     BIGINT NOT NULL DEFAULT 0, -- the event's own time, in whole seconds of Bitbucket's clock; 0 = not told
    UNIQUE (repo_id, request_id)
);
CREATE INDEX delivery_waiting ON delivery (repo_id) WHERE scanned_at = 0;

CREATE TABLE scan (
    id             TEXT PRIMARY KEY,
    repo_id        TEXT   NOT NULL REFERENCES repo (id) ON DELETE CASCADE,
    kind           TEXT   NOT NULL,
    state          TEXT   NOT NULL,
    bytes_received BIGINT NOT NULL,
    objects        BIGINT NOT NULL,
    objects_total  BIGINT NOT NULL,
    blobs          BIGINT NOT NULL,
    blob_bytes     BIGINT NOT NULL,
    findings       BIGINT NOT NULL,
    skipped        BIGINT NOT NULL,
    skipped_why    TEXT   NOT NULL,
    error          TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    started_at     BIGINT NOT NULL,
    ended_at       BIGINT NOT NULL
);
CREATE INDEX scan_repo ON scan (repo_id, id);
CREATE INDEX scan_unfinished ON scan (state) WHERE ended_at = 0;

CREATE TABLE incident (
    id              TEXT PRIMARY KEY,
    number          BIGINT  NOT NULL UNIQUE,
    fingerprint     TEXT    NOT NULL UNIQUE, -- keyed; tells equal secrets, nothing else
    rule            TEXT    NOT NULL,
    title           TEXT    NOT NULL,
    provider        TEXT    NOT NULL,
    severity        TEXT    NOT NULL,
    severity_rank   BIGINT  NOT NULL, -- for sorting, 0 = worst
    severity_chosen BOOLEAN NOT NULL, -- by a person, so no detector changes it
    confidence      TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    ignore_reason   TEXT    NOT NULL,
    secret_revoked  BOOLEAN NOT NULL,
    regressed       BOOLEAN NOT NULL,
    assignee_id     TEXT    NOT NULL,
    masked          TEXT    NOT NULL,
    secret_sealed   BYTEA   NOT NULL,
    occurrences     BIGINT  NOT NULL,
    first_seen_at   BIGINT  NOT NULL,
    last_seen_at    BIGINT  NOT NULL,
    first_commit_at BIGINT  NOT NULL,
    closed_at       BIGINT  NOT NULL,
    from_history    BOOLEAN NOT NULL,
    first_repo_id   TEXT    NOT NULL,
    first_repo      TEXT    NOT NULL,
    first_file      TEXT    NOT NULL,
    first_author    TEXT    NOT NULL,
    first_email     TEXT    NOT NULL,
    validity        TEXT    NOT NULL DEFAULT 'not_checked', -- whether the vendor says that the secret is alive
    checked_at      BIGINT  NOT NULL DEFAULT 0
);
CREATE INDEX incident_status ON incident (status, number);

CREATE TABLE occurrence (
    id             TEXT PRIMARY KEY,
    incident_id    TEXT   NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
    repo_id        TEXT   NOT NULL,
    scan_id        TEXT   NOT NULL,
    file           TEXT   NOT NULL,
    line_start     BIGINT NOT NULL,
    line_end       BIGINT NOT NULL,
    column_start   BIGINT NOT NULL,
    column_end     BIGINT NOT NULL,
    decoded_from   TEXT   NOT NULL,
    blob_hash      TEXT   NOT NULL,
    commit_hash    TEXT   NOT NULL,
    author         TEXT   NOT NULL,
    email          TEXT   NOT NULL,
    commit_at      BIGINT NOT NULL,
    found_at       BIGINT NOT NULL,
    excerpt_sealed BYTEA  NOT NULL,
    UNIQUE (incident_id, repo_id, file, commit_hash, line_start, column_start)
);
CREATE INDEX occurrence_place ON occurrence (repo_id, file);
CREATE INDEX occurrence_blob ON occurrence (blob_hash);

CREATE TABLE incident_event (
    id          TEXT PRIMARY KEY,
    incident_id TEXT   NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
    at          BIGINT NOT NULL,
    actor_id    TEXT   NOT NULL,
    action      TEXT   NOT NULL,
    detail      TEXT   NOT NULL
);
CREATE INDEX incident_event_incident ON incident_event (incident_id, id);

-- The outbox: one row per message that must leave once. The dedupe key says what "once" means.
CREATE TABLE alert (
    id           TEXT PRIMARY KEY,
    dedupe_key   TEXT   NOT NULL UNIQUE,
    channel      TEXT   NOT NULL DEFAULT 'mail', -- mail, or notify: the webhook or chat
    kind         TEXT   NOT NULL,
    subject_id   TEXT   NOT NULL, -- the incident, digest or integration it is about
    account_id   TEXT   NOT NULL,
    recipient    TEXT   NOT NULL,
    state        TEXT   NOT NULL, -- waiting, sent, failed
    error        TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    sent_at      BIGINT NOT NULL
);
CREATE INDEX alert_subject ON alert (subject_id);
CREATE INDEX alert_waiting ON alert (id) WHERE state = 'waiting';

-- The incidents that one message lists, when one each would be too many. All recipients share the digest.
CREATE TABLE alert_digest (
    digest_id   TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    PRIMARY KEY (digest_id, incident_id)
);

-- How fast one user of one Bitbucket may be asked, shared by all instances of Magpie.
CREATE TABLE pace (
    subject      TEXT PRIMARY KEY, -- base URL and token user
    rate         BIGINT NOT NULL,  -- requests in 1,000 seconds that are made now
    ceiling      BIGINT NOT NULL,  -- the rate that Bitbucket is known to refuse, in the same unit; 0 = not known
    free_at      BIGINT NOT NULL,  -- when the last request that was given out is due
    paused_until BIGINT NOT NULL,  -- Bitbucket asked to send nothing before
    changed_at   BIGINT NOT NULL
);

-- One comparison of all monitored repositories with what was scanned, and what it found that no event had announced.
CREATE TABLE sweep (
    id         TEXT PRIMARY KEY,
    reason     TEXT   NOT NULL, -- schedule, start, token, or request
    down_since BIGINT NOT NULL, -- when Magpie was last alive before an outage of ours; 0 = there was none
    began_at   BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL, -- 0 while repositories are still being compared
    repos      BIGINT NOT NULL, -- to compare
    walked     BIGINT NOT NULL DEFAULT 0, -- of these, come to so far
    compared   BIGINT NOT NULL, -- done, or found to need no comparison any more
    behind     BIGINT NOT NULL, -- of these, with something new that was then scanned
    failed     BIGINT NOT NULL  -- of these, given up
);
CREATE UNIQUE INDEX sweep_running ON sweep (ended_at) WHERE ended_at = 0; -- one at a time

-- The Code Insights report on the source commit of open pull requests, as it stands at Bitbucket.
CREATE TABLE insight_report (
    repo_id       TEXT    NOT NULL REFERENCES repo (id) ON DELETE CASCADE, -- the pull requests' target
    commit_hash   TEXT    NOT NULL,
    result        TEXT    NOT NULL, -- pass or fail; empty until it was sent
    annotations   BIGINT  NOT NULL,
    posted_at     BIGINT  NOT NULL, -- 0 = never
    via_repo_id   TEXT    NOT NULL DEFAULT '', -- the repository and ref from which the job that updates it sets out
    via_ref       TEXT    NOT NULL DEFAULT '',
    digest        TEXT    NOT NULL DEFAULT '', -- of what was sent; empty while it is not known what stands there
    claimed_until BIGINT  NOT NULL DEFAULT 0, -- one job at a time may send it; 0 = free
    wanted        BOOLEAN NOT NULL DEFAULT FALSE, -- a job that will send it anew is on its way
    PRIMARY KEY (repo_id, commit_hash)
);

-- The incidents that a report counted, so that it is sent anew when one of them is closed or opened again.
CREATE TABLE insight_incident (
    repo_id     TEXT NOT NULL,
    commit_hash TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    PRIMARY KEY (repo_id, commit_hash, incident_id),
    FOREIGN KEY (repo_id, commit_hash) REFERENCES insight_report (repo_id, commit_hash) ON DELETE CASCADE
);
CREATE INDEX insight_incident_incident ON insight_incident (incident_id);

-- When each recurring task is due next; survives restarts, shared by all instances.
CREATE TABLE schedule (
    name   TEXT PRIMARY KEY,
    due_at BIGINT NOT NULL
);

-- +goose Down
