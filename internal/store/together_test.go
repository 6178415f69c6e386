package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// TestWriteTogether lets many changes wait for one that takes its time. Some of them fail or panic half-way.
func TestWriteTogether(t *testing.T) {
	storetest.Each(t, func(*queue.Engine, *store.DB) {}, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		ctx := t.Context()
		refused := errors.New("refused")
		began, end := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := db.Write(ctx, func(*store.Tx) error { close(began); <-end; return nil })
			if err != nil {
				t.Error(err)
			}
		})
		<-began
		const n = 100
		errs := make([]error, n)
		var mu sync.Mutex
		transactions := map[any]bool{}
		for i := range n {
			wg.Go(func() {
				errs[i] = db.WriteTogether(ctx, func(ctx context.Context, tx *store.Tx) error {
					if err := tx.PutSetting(ctx, fmt.Sprint("together ", i), "true"); err != nil {
						return err
					}
					mu.Lock()
					transactions[tx.Native()] = true
					mu.Unlock()
					switch {
					case i%10 == 3:
						return refused
					case i%10 == 7 && db.Embedded():
						panic("half-way")
					}
					return nil
				})
			})
		}
		time.Sleep(50 * time.Millisecond) // for most of them to wait; the test holds without
		close(end)
		wg.Wait()
		for i, err := range errs {
			fails := i%10 == 3 || i%10 == 7 && db.Embedded()
			if (err != nil) != fails || i%10 == 3 && !errors.Is(err, refused) {
				t.Errorf("change %d: %v", i, err)
			}
			if kept := storetest.Setting(t, db, fmt.Sprint("together ", i)) == "true"; kept == fails {
				t.Errorf("change %d with error %v: kept %t", i, err, kept)
			}
		}
		if db.Embedded() && len(transactions) > n/2 {
			t.Errorf("%d changes took %d transactions, want far fewer", n, len(transactions))
		}
	})
}

// TestWriteTogetherIsLeft gives up waiting; others are not disturbed.
func TestWriteTogetherIsLeft(t *testing.T) {
	storetest.Each(t, func(*queue.Engine, *store.DB) {}, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		began, end := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := db.Write(t.Context(), func(*store.Tx) error { close(began); <-end; return nil }); err != nil {
				t.Error(err)
			}
		})
		<-began
		hurried, cancel := context.WithCancel(t.Context())
		if db.Embedded() {
			time.AfterFunc(50*time.Millisecond, cancel) // while it waits, mostly; the test holds without
		} else {
			cancel() // nobody waits there
		}
		for range 2 { // the second time it is canceled from the start
			if err := db.WriteTogether(hurried, put("left")); !errors.Is(err, context.Canceled) {
				t.Errorf("a canceled wait ended with %v", err)
			}
		}
		close(end)
		if err := db.WriteTogether(t.Context(), put("stayed")); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if got := storetest.Setting(t, db, "stayed"); got != "true" {
			t.Errorf("what was written after one had left = %q, want it kept", got)
		}
		if got := storetest.Setting(t, db, "left"); got == "true" {
			t.Error("what was given up before its turn was written")
		}
	})
}

func put(name string) func(context.Context, *store.Tx) error {
	return func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, name, "true") }
}
