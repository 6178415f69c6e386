package perimeter

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie/internal/bitbucket"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// What one process learned about a pace is what the next one starts from.
func TestPaceIsStored(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		s := New(Options{DB: db, HTTP: http.DefaultClient})
		first := s.pace("https://b.example", "bot")
		if s.pace("https://b.example", "bot") != first || s.pace("https://b.example", "other") == first {
			t.Error("there is not one pace for each user")
		}
		kept := paceStore{db, "https://b.example bot"}
		at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
		want := bitbucket.PaceState{Rate: 4.5, Ceiling: 5.125, FreeAt: at, PausedUntil: at.Add(time.Second), ChangedAt: at.Add(time.Minute)}
		for step, change := range []func(time.Time, *bitbucket.PaceState){
			func(_ time.Time, state *bitbucket.PaceState) { *state = want },
			func(_ time.Time, state *bitbucket.PaceState) {
				if diff := cmp.Diff(want, *state); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
			},
		} {
			if err := kept.Change(context.Background(), change); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
		}
		// A pace that learned nothing yet goes on from what is stored, and does not overwrite it.
		if err := s.pace("https://b.example", "bot").Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := kept.Change(context.Background(), func(_ time.Time, state *bitbucket.PaceState) {
			if state.Rate != want.Rate || state.Ceiling != want.Ceiling {
				t.Errorf("after a request %+v is stored, want the rate and ceiling of %+v", *state, want)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
