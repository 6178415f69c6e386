package api

import (
	"net/http"
	"testing"
	"time"

	"magpie"
	"magpie/internal/store"
)

// TestScanOfAHistory starts a scan, sees it run, cancels it and scans the history again.
func TestScanOfAHistory(t *testing.T) {
	each(t, func(b *bundle) {
		b.jobs()
		repo := b.perimeter().repos[0]
		started := get[scanView](b, "POST", "/scans", `{"repository_id":"`+string(repo.ID)+`"}`)
		path := "/scans/" + string(started.ID)
		if started.State != magpie.ScanQueued || started.Phase != "" || started.ETASeconds != nil {
			b.t.Errorf("when it is started it is %+v", started)
		}
		if w := b.call(magpie.RoleManager, "POST", path+"/repeat", ""); w.Code != http.StatusConflict {
			b.t.Errorf("repeating one that has not ended: status %d: %s", w.Code, w.Body)
		}
		err := b.db.Write(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.StartScan(t.Context(), started.ID, fixtureTime); err != nil {
				return err
			}
			_, err := tx.SetScanProgress(t.Context(), started.ID, magpie.Progress{
				Phase: magpie.PhaseReceiving, Left: 90*time.Second + time.Millisecond, BytesReceived: 5, Objects: 6, ObjectsTotal: 7, Findings: 8,
			}, "")
			return err
		})
		if err != nil {
			b.t.Fatal(err)
		}
		got := get[scanView](b, "GET", path, "")
		if got.ETASeconds == nil || *got.ETASeconds != 91 || got.Phase != magpie.PhaseReceiving || got.BytesReceived != 5 || got.Objects != 6 || got.ObjectsTotal != 7 || got.Findings != 8 {
			b.t.Errorf("while it runs it is %+v", got)
		}
		get[nothing](b, "POST", path+"/cancel", "")
		if got := get[scanView](b, "GET", path, ""); got.State != magpie.ScanCanceled || got.ETASeconds != nil || got.Phase != "" {
			b.t.Errorf("when it is canceled it is %+v", got)
		}
		again := get[scanView](b, "POST", path+"/repeat", "")
		if again.State != magpie.ScanQueued || again.RepositoryID != repo.ID || again.ID == started.ID {
			b.t.Errorf("again it is %+v", again)
		}
		if w := b.call(magpie.RoleManager, "POST", path+"/repeat", ""); w.Code != http.StatusConflict {
			b.t.Errorf("repeating it while another one is under way: status %d: %s", w.Code, w.Body)
		}
	})
}
