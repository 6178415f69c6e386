package store_test

import (
	"database/sql"
	"fmt"
	"testing"

	"magpie/internal/store/storetest"
)

// TestPreparedStatements runs the same statements again and again, also while their rows are being read, after they failed and
// after the tables changed, and more different ones than are kept.
func TestPreparedStatements(t *testing.T) {
	db, _ := storetest.Open(t, storetest.SQLite(t), nil)
	writer := db.Native().(*sql.DB)
	exec := func(query string, args ...any) error {
		_, err := writer.ExecContext(t.Context(), query, args...)
		return err
	}
	must := func(query string, args ...any) {
		t.Helper()
		if err := exec(query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	must(`CREATE TABLE sample (a INTEGER PRIMARY KEY, b TEXT NOT NULL)`)
	const insert = `INSERT INTO sample (a, b) VALUES ($1, $2)`
	for i := range 5 {
		must(insert, i, fmt.Sprint("b", i))
	}
	if err := exec(insert, 3, "again"); err == nil {
		t.Error("a row was stored twice")
	}
	must(insert, 5, "after a failure")

	tx, err := writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const list = `SELECT a FROM sample WHERE a < $1 ORDER BY a`
	pairs := 0
	outer, err := tx.QueryContext(t.Context(), list, 4)
	if err != nil {
		t.Fatal(err)
	}
	for outer.Next() {
		var a int
		if err := outer.Scan(&a); err != nil {
			t.Fatal(err)
		}
		inner, err := tx.QueryContext(t.Context(), list, a)
		if err != nil {
			t.Fatal(err)
		}
		for inner.Next() {
			pairs++
		}
		if err := inner.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := outer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if pairs != 6 {
		t.Errorf("pairs = %d, want 6 of 4 rows", pairs)
	}

	for i := range 1000 {
		var n int
		if err := writer.QueryRowContext(t.Context(), fmt.Sprintf(`SELECT count(*) + %d FROM sample`, i)).Scan(&n); err != nil || n != 6+i {
			t.Fatalf("statement %d gives %d, %v", i, n, err)
		}
	}
	must(`ALTER TABLE sample ADD COLUMN c TEXT NOT NULL DEFAULT 'new'`)
	must(insert, 6, "after the change")
	for range 2 {
		var c string
		if err := writer.QueryRowContext(t.Context(), `SELECT c FROM sample WHERE a = 6`).Scan(&c); err != nil || c != "new" {
			t.Errorf("the new column holds %q, %v", c, err)
		}
	}
}
