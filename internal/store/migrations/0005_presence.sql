-- Whether an occurrence's secret still stands on the default branch of its repository, as the last history scan saw it.

-- +goose Up
ALTER TABLE occurrence ADD COLUMN presence TEXT NOT NULL DEFAULT ''; -- present, absent; empty = not known
ALTER TABLE occurrence ADD COLUMN presence_at BIGINT NOT NULL DEFAULT 0; -- microseconds; 0 = never looked

-- +goose Down
ALTER TABLE occurrence DROP COLUMN presence_at;
ALTER TABLE occurrence DROP COLUMN presence;
