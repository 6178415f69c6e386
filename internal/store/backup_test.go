package store_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// sqliteFile returns the file of a database with an account that has a session and an API token.
func sqliteFile(t *testing.T) string {
	t.Helper()
	address := storetest.SQLite(t)
	db, _ := storetest.Open(t, address, func(*queue.Engine, *store.DB) {})
	user := newAccount("user@example.com", magpie.RoleMember)
	mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddAccount(ctx, user, "hash"); err != nil {
			return err
		}
		if err := tx.AddSession(ctx, store.Session{IDHash: []byte{1}, User: user, CreatedAt: at, SeenAt: at, ExpiresAt: at}); err != nil {
			return err
		}
		return tx.AddAPIToken(ctx, store.APIToken{ID: store.NewID[magpie.TokenID](), UserID: user.ID, Name: "laptop", CreatedAt: at}, []byte{2})
	})
	return strings.TrimPrefix(address, "sqlite:")
}

// The copy holds what the database holds, so nobody else may read it, not even while it is being written.
func TestCopySQLiteIsPrivate(t *testing.T) {
	path, target := sqliteFile(t), filepath.Join(t.TempDir(), "copy.db")
	seen := make(chan fs.FileMode)
	go func() {
		for {
			if info, err := os.Stat(target); err == nil {
				seen <- info.Mode().Perm()
				return
			}
		}
	}()
	if err := store.CopySQLite(t.Context(), path, target); err != nil {
		t.Fatal(err)
	}
	if mode := <-seen; mode != 0o600 {
		t.Errorf("while it is written the copy has mode %o, want 600", mode)
	}
	info, err := os.Stat(target)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("the copy is %v, %v, want a file of mode 600", info, err)
	}
	if err := store.CheckSQLite(t.Context(), target); err != nil {
		t.Errorf("the copy: %v", err)
	}
	if err := store.CopySQLite(t.Context(), path, target); magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("copying over a file: %v, want it refused", err)
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("a refusal took away what was there: %v", err)
	}
}

func TestCopySQLiteLeavesNothingOfAFailure(t *testing.T) {
	whole, dir := filepath.Join(t.TempDir(), "whole.db"), t.TempDir()
	if err := store.CopySQLite(t.Context(), sqliteFile(t), whole); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(dir, "damaged.db")
	copy(b[len(b)*3/4:], strings.Repeat("x", len(b)/4)) // the schema at the front stays readable
	if err := os.WriteFile(damaged, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{damaged, filepath.Join(dir, "missing.db")} {
		target := filepath.Join(t.TempDir(), "copy.db")
		if err := store.CopySQLite(t.Context(), path, target); err == nil {
			t.Errorf("copying %s did not fail", filepath.Base(path))
		}
		if _, err := os.Stat(target); !os.IsNotExist(err) {
			t.Errorf("copying %s left a file (%v)", filepath.Base(path), err)
		}
	}
}

func TestEndLogins(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := store.CopySQLite(t.Context(), sqliteFile(t), copied); err != nil {
		t.Fatal(err)
	}
	if err := store.EndLogins(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	db, _ := storetest.Open(t, "sqlite:"+copied, func(*queue.Engine, *store.DB) {})
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Session(t.Context(), []byte{1}); magpie.KindOf(err) != magpie.KindNotFound {
			t.Errorf("the session: %v, want none", err)
		}
		if _, _, err := tx.APITokenByHash(t.Context(), []byte{2}); magpie.KindOf(err) != magpie.KindNotFound {
			t.Errorf("the API token: %v, want none", err)
		}
		_, _, err := tx.AccountByEmail(t.Context(), "user@example.com")
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
