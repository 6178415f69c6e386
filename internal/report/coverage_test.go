package report_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/report"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

var coverageStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))

// coverageFixture stores repositories in a project and returns a function that adds one.
func coverageFixture(ctx context.Context, tx *store.Tx) (add func(slug string, change func(*magpie.Repo), tips ...store.Tip) (magpie.RepoID, error), err error) {
	i := magpie.Integration{ID: store.NewID[magpie.IntegrationID](), Mode: magpie.ModeInstance, BaseURL: "https://one.example.com", State: magpie.IntegrationActive}
	if err := tx.InsertIntegration(ctx, i, []byte("sealed")); err != nil {
		return nil, err
	}
	p, err := tx.PutProject(ctx, magpie.Project{IntegrationID: i.ID, RemoteID: 1, Key: "APP", Name: "App", Installed: true}, "")
	n := int64(0)
	return func(slug string, change func(*magpie.Repo), tips ...store.Tip) (magpie.RepoID, error) {
		n++
		r := magpie.Repo{
			ID: store.NewID[magpie.RepoID](), IntegrationID: i.ID, ProjectID: p.ID, RemoteID: n, Slug: slug, State: magpie.RepoAvailable,
			Monitored: true, Hook: magpie.HookInstalled, History: magpie.HistoryDone,
		}
		if change != nil {
			change(&r)
		}
		if err := tx.PutRepo(ctx, r, ""); err != nil {
			return r.ID, err
		}
		for _, t := range tips {
			if err := tx.PutTip(ctx, r.ID, t.Tip, t.ScannedAt); err != nil {
				return r.ID, err
			}
		}
		return r.ID, nil
	}, err
}

func tipAt(ref string, at time.Time) store.Tip {
	return store.Tip{Tip: magpie.Tip{Ref: ref, Hash: "0123abcd"}, ScannedAt: at}
}

func TestCoverageCSV(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		ctx := t.Context()
		err := db.Write(ctx, func(tx *store.Tx) error {
			add, err := coverageFixture(ctx, tx)
			if err != nil {
				return err
			}
			formula := tipAt("refs/heads/a,b\"=1+1", coverageStart)
			for _, step := range []struct {
				slug   string
				change func(*magpie.Repo)
				tips   []store.Tip
			}{
				{"a-current", nil, []store.Tip{tipAt("refs/heads/main", coverageStart), formula}},
				{"b-empty", nil, nil},
				{"c-history", func(r *magpie.Repo) { r.History = magpie.HistoryFailed }, []store.Tip{tipAt("refs/heads/main", time.Time{})}},
				{"d-gone-away", func(r *magpie.Repo) {
					r.State, r.StateReason = magpie.RepoUnavailable, "=HYPERLINK(\"x\")\r\nthe repository is offline"
				}, []store.Tip{tipAt("refs/heads/main", coverageStart)}},
				{"e-hook", func(r *magpie.Repo) { r.Hook, r.HookReason = magpie.HookFailed, "may not administer" }, []store.Tip{tipAt("refs/heads/main", coverageStart)}},
				{"f-unmonitored", func(r *magpie.Repo) { r.Monitored = false }, []store.Tip{tipAt("refs/heads/main", coverageStart)}},
			} {
				if _, err := add(step.slug, step.change, step.tips...); err != nil {
					return err
				}
			}
			if err := storetest.Exec(ctx, tx, fmt.Sprintf(`UPDATE repo SET compared_at = %d`, coverageStart.UnixMicro())); err != nil {
				return err
			}
			if _, err := add("g-new", nil); err != nil {
				return err
			}
			waiting, err := add("h-waiting", nil, tipAt("refs/heads/main", coverageStart))
			if err != nil {
				return err
			}
			_, err = tx.AddDelivery(ctx, store.Delivery{
				ID: store.NewID[magpie.DeliveryID](), RepoID: waiting, Push: magpie.Push{RequestID: "1"}, ReceivedAt: coverageStart.Add(time.Minute),
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := report.WriteCoverageCSV(ctx, &out, db, store.PerimeterFilter{}); err != nil {
			t.Fatal(err)
		}
		const at = "2026-03-01T11:00:00Z"
		one := "https://one.example.com,APP,"
		want := strings.ReplaceAll(`instance,project,repository,ref,scanned_up_to,scanned_at,compared_at,waiting_pushes,waiting_since,hook,history,state,remedy
`+one+`a-current,"refs/heads/a,b""=1+1",0123abcd,`+at+`,`+at+`,0,,installed,done,current,
`+one+`a-current,refs/heads/main,0123abcd,`+at+`,`+at+`,0,,installed,done,current,
`+one+`b-empty,,,,`+at+`,0,,installed,done,empty,
`+one+`c-history,refs/heads/main,,,`+at+`,0,,installed,failed,not_scanned,"the scan of its history gave up: see why on the page of scans, and start it again"
`+one+`d-gone-away,refs/heads/main,0123abcd,`+at+`,`+at+`,0,,installed,done,unreadable,"'=HYPERLINK(""x"")��the repository is offline"
`+one+`e-hook,refs/heads/main,0123abcd,`+at+`,`+at+`,0,,failed,done,current,may not administer
`+one+`g-new,,,,,0,,installed,done,never_compared,
`+one+`h-waiting,refs/heads/main,0123abcd,`+at+`,,1,2026-03-01T11:01:00Z,installed,done,waiting,
`, "\n", "\r\n")
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("coverage report (-want +got):\n%s", diff)
		}
	})
}

// A report of many refs takes no more memory than one of few.
func TestCoverageCSVInBoundedMemory(t *testing.T) {
	db, _ := storetest.Open(t, storetest.SQLite(t), nil)
	ctx := t.Context()
	const refs = 16_000
	err := db.Write(ctx, func(tx *store.Tx) error {
		add, err := coverageFixture(ctx, tx)
		if err != nil {
			return err
		}
		id, err := add("many", nil)
		if err != nil {
			return err
		}
		return storetest.Exec(ctx, tx, fmt.Sprintf(`INSERT INTO tip (repo_id, ref, hash, scanned_at)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			SELECT '%s', 'refs/heads/' || i, '%040d', 1 FROM n`, refs, id, 7))
	})
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := report.WriteCoverageCSV(ctx, writer, db, store.PerimeterFilter{})
		done <- err
		writer.CloseWithError(err)
	}()
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	lines := csv.NewReader(reader)
	lines.ReuseRecord = true
	count := 0
	for ; ; count++ {
		if _, err := lines.Read(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if count == refs/2 {
			runtime.GC()
			runtime.ReadMemStats(&during)
		}
	}
	if err := <-done; err != nil || count != refs+1 {
		t.Errorf("%d lines (%v), want %d", count, err, refs+1)
	}
	if grown := int64(during.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("half-way through the report %d bytes more are in use, want less than 2 MiB", grown)
	}
}

// A reader that went away ends the report.
func TestCoverageCSVStopsWithItsReader(t *testing.T) {
	db, _ := storetest.Open(t, storetest.SQLite(t), nil)
	reader, writer := io.Pipe()
	_ = reader.Close()
	if err := report.WriteCoverageCSV(t.Context(), writer, db, store.PerimeterFilter{}); err == nil {
		t.Error("writing to nobody reports no error")
	}
}
