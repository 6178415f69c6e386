package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// compared stores when a repository's refs were last compared.
func (w *listWorld) compared(id magpie.RepoID, at time.Time) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return storetest.Exec(w.ctx, tx, fmt.Sprintf(`UPDATE repo SET compared_at = %d, default_branch = 'refs/heads/main' WHERE id = '%s'`, at.UnixMicro(), id))
	})
}

func (w *listWorld) tip(id magpie.RepoID, ref string, at time.Time) {
	w.Helper()
	w.write(func(tx *store.Tx) error { return tx.PutTip(w.ctx, id, magpie.Tip{Ref: ref, Hash: "aa"}, at) })
}

func (w *listWorld) delivery(id magpie.RepoID, request string, received, scanned time.Time) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		d := store.Delivery{ID: store.NewID[magpie.DeliveryID](), RepoID: id, Push: magpie.Push{RequestID: request}, ReceivedAt: received}
		if _, err := tx.AddDelivery(w.ctx, d); err != nil || scanned.IsZero() {
			return err
		}
		return tx.SetDeliveryScanned(w.ctx, d.ID, scanned)
	})
}

// coverageWorld has a repository for each way to be, or not to be, current.
func coverageWorld(w *listWorld) (one magpie.Integration, repos map[string]magpie.Repo) {
	w.Helper()
	one = w.integration("https://one.example.com")
	app := w.project(one, "APP", 1)
	repos = map[string]magpie.Repo{}
	for _, slug := range []string{"baseline", "current", "empty", "gone", "kept", "never", "unmonitored", "unreadable", "waiting"} {
		repos[slug] = w.repo(app, slug, func(r *magpie.Repo) {
			r.Monitored = slug != "unmonitored"
			switch slug {
			case "unreadable":
				r.State = magpie.RepoUnavailable
			case "gone":
				r.State = magpie.RepoDeleted
			}
		})
		if slug != "never" {
			w.compared(repos[slug].ID, w.start.Add(time.Duration(len(repos))*time.Hour))
		}
		if slug != "empty" {
			w.tip(repos[slug].ID, "refs/heads/main", w.start)
		}
	}
	w.tip(repos["baseline"].ID, "refs/tags/v1", time.Time{})
	w.tip(repos["kept"].ID, "baseline:bb", time.Time{})
	for n := range 3 {
		w.delivery(repos["waiting"].ID, fmt.Sprint(n), w.start.Add(-time.Duration(n)*time.Minute), time.Time{})
	}
	w.delivery(repos["current"].ID, "done", w.start.Add(-time.Hour), w.start)
	w.delivery(repos["unmonitored"].ID, "late", w.start.Add(-time.Hour), time.Time{})
	return one, repos
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	eachList(t, func(t *testing.T, w *listWorld) {
		one, repos := coverageWorld(w)
		other := w.repo(w.project(w.integration("https://two.example.com"), "TWO", 2), "service", nil)

		list := func(f store.PerimeterFilter) (all []store.CoverageRepo) {
			for cursor, more := "", true; more; {
				page := query(w, func(tx *store.Tx) (store.CoveragePage, error) { return tx.CoverageRepos(w.ctx, f, cursor, 2) })
				if len(page.Repos) > 2 {
					t.Errorf("a page of %d repositories, want at most 2", len(page.Repos))
				}
				all = append(all, page.Repos...)
				cursor, more = page.Next, page.Next != ""
			}
			return all
		}
		var got []string
		for _, r := range list(store.PerimeterFilter{Integration: one.ID}) {
			got = append(got, fmt.Sprintf("%s %d/%d, %d waiting, %t", r.FullName(), r.RefsScanned, r.Refs, r.Waiting, r.Current))
			if want := w.start.Add(-2 * time.Minute); r.Waiting > 0 != r.WaitingSince.Equal(want) || r.BaseURL != one.BaseURL || r.ProjectName != "Name of APP" {
				t.Errorf("%s waits since %v, at %s, in %s", r.FullName(), r.WaitingSince, r.BaseURL, r.ProjectName)
			}
			single := query(w, func(tx *store.Tx) (store.CoverageRepo, error) { return tx.CoverageRepo(w.ctx, r.ID) })
			if diff := cmp.Diff(r, single); diff != "" {
				t.Errorf("%s in the list and by itself (-list +single):\n%s", r.FullName(), diff)
			}
		}
		want := []string{
			"APP/baseline 1/2, 0 waiting, false", "APP/current 1/1, 0 waiting, true", "APP/empty 0/0, 0 waiting, true",
			"APP/kept 1/1, 0 waiting, false", "APP/never 1/1, 0 waiting, false", "APP/unreadable 1/1, 0 waiting, false",
			"APP/waiting 1/1, 3 waiting, false",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("coverage (-want +got):\n%s", diff)
		}
		if all := list(store.PerimeterFilter{Text: "two"}); len(all) != 1 || all[0].ID != other.ID {
			t.Errorf("found by text: %+v", all)
		}

		sums := query(w, func(tx *store.Tx) (store.CoverageSums, error) { return tx.CoverageSums(w.ctx, one.ID) })
		wantSums := store.CoverageSums{
			Monitored: 7, Current: 2, NeverCompared: 1, Unreadable: 1, Waiting: 3,
			OldestWaiting: w.start.Add(-2 * time.Minute), OldestCompared: w.start.Add(time.Hour),
		}
		if diff := cmp.Diff(wantSums, sums); diff != "" {
			t.Errorf("sums (-want +got):\n%s", diff)
		}
		if all := query(w, func(tx *store.Tx) (store.CoverageSums, error) { return tx.CoverageSums(w.ctx, "") }); all.Monitored != 8 || all.NeverCompared != 2 {
			t.Errorf("sums of all: %+v", all)
		}

		var behind []string
		for _, r := range query(w, func(tx *store.Tx) (store.PerimeterPage, error) {
			return tx.PerimeterRepos(w.ctx, store.PerimeterFilter{State: store.PerimeterBehind, Integration: one.ID}, "", 50)
		}).Repos {
			behind = append(behind, r.Slug)
		}
		if diff := cmp.Diff([]string{"baseline", "kept", "never", "waiting"}, behind); diff != "" {
			t.Errorf("repositories that are behind (-want +got):\n%s", diff)
		}

		// What waits in a repository that is not current for another reason counts once.
		for _, name := range []string{"never", "unreadable", "unmonitored", "waiting"} {
			w.tip(repos[name].ID, "refs/heads/waits", time.Time{})
		}
		if again := query(w, func(tx *store.Tx) (store.CoverageSums, error) { return tx.CoverageSums(w.ctx, one.ID) }); again.Current != 2 {
			t.Errorf("%d are current, want 2", again.Current)
		}
	})
}

func TestCoverageRefs(t *testing.T) {
	t.Parallel()
	eachList(t, func(t *testing.T, w *listWorld) {
		_, repos := coverageWorld(w)
		refs := func(id magpie.RepoID) (all []string) {
			after := ""
			for {
				page := query(w, func(tx *store.Tx) ([]store.CoverageRef, error) { return tx.CoverageRefs(w.ctx, id, after, 1) })
				if len(page) == 0 {
					return all
				}
				after = page[0].Ref
				all = append(all, fmt.Sprintf("%s %s scanned %t, default %t", after, page[0].Hash, !page[0].ScannedAt.IsZero(), page[0].Default))
			}
		}
		want := []string{"refs/heads/main aa scanned true, default true", "refs/tags/v1 aa scanned false, default false"}
		if diff := cmp.Diff(want, refs(repos["baseline"].ID)); diff != "" {
			t.Errorf("refs (-want +got):\n%s", diff)
		}
		if got := refs(repos["kept"].ID); len(got) != 1 {
			t.Errorf("refs beside a kept tip: %v, want one", got)
		}
	})
}

func TestPerimeterFilterByHookAndScan(t *testing.T) {
	t.Parallel()
	eachList(t, func(t *testing.T, w *listWorld) {
		app := w.project(w.integration("https://one.example.com"), "APP", 1)
		w.repo(app, "failed", func(r *magpie.Repo) { r.Hook = magpie.HookFailed; r.LastScanAt = w.start })
		w.repo(app, "fine", func(r *magpie.Repo) { r.LastScanAt = w.start })
		w.repo(app, "new", func(r *magpie.Repo) { r.Hook = magpie.HookPending })
		for name, tc := range map[string]struct {
			filter store.PerimeterFilter
			want   []string
		}{
			"hook":          {store.PerimeterFilter{Hook: magpie.HookFailed}, []string{"failed"}},
			"never scanned": {store.PerimeterFilter{State: store.PerimeterNeverScanned}, []string{"new"}},
			"both":          {store.PerimeterFilter{State: store.PerimeterNeverScanned, Hook: magpie.HookFailed}, nil},
		} {
			var got []string
			for _, r := range query(w, func(tx *store.Tx) (store.PerimeterPage, error) { return tx.PerimeterRepos(w.ctx, tc.filter, "", 50) }).Repos {
				got = append(got, r.Slug)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// BenchmarkCoverage reads what the coverage page shows of 10,000 repositories with 100,000 refs.
func BenchmarkCoverage(b *testing.B) {
	db, _ := storetest.Open(b, "sqlite:"+b.TempDir()+"/magpie.db", nil)
	w := &listWorld{TB: b, ctx: b.Context(), db: db, start: time.Now()}
	fillCoverage(w, 10_000, 10)
	b.Run("page", func(b *testing.B) {
		for b.Loop() {
			query(w, func(tx *store.Tx) (store.CoveragePage, error) {
				return tx.CoverageRepos(w.ctx, store.PerimeterFilter{}, "", 100)
			})
		}
	})
	b.Run("sums", func(b *testing.B) {
		for b.Loop() {
			query(w, func(tx *store.Tx) (store.CoverageSums, error) { return tx.CoverageSums(w.ctx, "") })
		}
	})
	b.Run("behind", func(b *testing.B) {
		for b.Loop() {
			query(w, func(tx *store.Tx) (store.PerimeterPage, error) {
				return tx.PerimeterRepos(w.ctx, store.PerimeterFilter{State: store.PerimeterBehind}, "", 100)
			})
		}
	})
}

func fillCoverage(w *listWorld, repos, refs int) {
	w.Helper()
	i := w.integration("https://one.example.com")
	w.write(func(tx *store.Tx) error {
		var p magpie.Project
		for n := range repos {
			if n%20 == 0 {
				var err error
				key := fmt.Sprintf("P%04d", n/20)
				if p, err = tx.PutProject(w.ctx, magpie.Project{IntegrationID: i.ID, RemoteID: int64(n), Key: key, Name: key, Installed: true}, ""); err != nil {
					return err
				}
			}
			id := store.NewID[magpie.RepoID]()
			if err := tx.PutRepo(w.ctx, magpie.Repo{
				ID: id, IntegrationID: i.ID, ProjectID: p.ID, RemoteID: int64(n), Slug: fmt.Sprintf("repo-%05d", n), State: magpie.RepoAvailable,
				Monitored: true, Hook: magpie.HookInstalled, History: magpie.HistoryDone, CreatedAt: w.start,
			}, ""); err != nil {
				return err
			}
			for m := range refs {
				at := w.start
				if n%100 == 0 {
					at = time.Time{}
				}
				if err := tx.PutTip(w.ctx, id, magpie.Tip{Ref: fmt.Sprintf("refs/heads/b%d", m), Hash: "aa"}, at); err != nil {
					return err
				}
			}
		}
		return storetest.Exec(w.ctx, tx, `UPDATE repo SET compared_at = 1`)
	})
}
