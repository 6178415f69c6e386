package store

import (
	"context"

	"magpie"
)

// Setting returns the JSON value stored under name, or "" if there is none.
func (tx *Tx) Setting(ctx context.Context, name string) (string, error) {
	var value string
	err := tx.row(ctx, `SELECT value FROM setting WHERE name = $1`, name).Scan(&value)
	if magpie.KindOf(err) == magpie.KindNotFound {
		return "", nil
	}
	return value, err
}

// PutSetting stores value, which is JSON, under name.
func (tx *Tx) PutSetting(ctx context.Context, name, value string) error {
	_, err := tx.exec(ctx, `INSERT INTO setting (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

// DataKey returns the wrapped data key with the highest id and that id, or id 0 if there is none yet.
func (tx *Tx) DataKey(ctx context.Context) (id int64, wrapped []byte, err error) {
	err = tx.row(ctx, `SELECT id, wrapped FROM data_key ORDER BY id DESC LIMIT 1`).Scan(&id, &wrapped)
	if magpie.KindOf(err) == magpie.KindNotFound {
		return 0, nil, nil
	}
	return id, wrapped, err
}

// PutDataKey stores a wrapped data key unless there is one with the same id, which then stays: two instances may start
// on an empty database at once.
func (tx *Tx) PutDataKey(ctx context.Context, id int64, wrapped []byte, at int64) error {
	_, err := tx.exec(ctx, `INSERT INTO data_key (id, wrapped, created_at) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO NOTHING`, id, wrapped, at)
	return err
}
