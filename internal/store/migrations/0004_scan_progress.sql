-- What a scan is busy with, how long it will still take, and how far one in slices has come.

-- +goose Up
ALTER TABLE scan ADD COLUMN phase TEXT NOT NULL DEFAULT ''; -- empty unless it runs
ALTER TABLE scan ADD COLUMN time_left BIGINT NOT NULL DEFAULT 0; -- estimated microseconds; 0 = not known
ALTER TABLE scan ADD COLUMN position TEXT NOT NULL DEFAULT ''; -- of a scan in slices: JSON of the scan stage; empty before the first and after the last

-- +goose Down
