-- A webhook that Bitbucket refuses is asked for less and less often.

-- +goose Up
ALTER TABLE repo ADD COLUMN hook_wait BIGINT NOT NULL DEFAULT 0; -- microseconds from its last refusal to the next attempt; 0 = was not refused
ALTER TABLE repo ADD COLUMN hook_retry_at BIGINT NOT NULL DEFAULT 0; -- no sync tries again before

-- +goose Down
