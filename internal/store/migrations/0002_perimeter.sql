-- What the perimeter counts at every look stands in indexes, so that 10,000 wide rows need not be read for it.

-- +goose Up
CREATE INDEX repo_perimeter ON repo (project_id, state, monitored, hook_state, history, compared_at, last_push_at, last_scan_at, id, integration_id);
DROP INDEX repo_project; -- its beginning
DROP INDEX incident_status;
CREATE INDEX incident_status ON incident (status, number, id);
DROP INDEX occurrence_place;
CREATE INDEX occurrence_place ON occurrence (repo_id, file, incident_id);

-- +goose Down
