package perimeter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"magpie"
	"magpie/internal/store"
)

// place is how far a sync came, stored with each page that it took in. One that was cut off goes on there; what it had
// taken in bears its pass.
type place struct {
	Pass    string           `json:"pass"`
	Token   string           `json:"token"` // tells tokens apart; not a secret
	Began   time.Time        `json:"began"`
	Listed  bool             `json:"listed,omitempty"`  // the projects are taken in
	Next    int64            `json:"next,omitempty"`    // the page of the list of repositories that is next
	Project magpie.ProjectID `json:"project,omitempty"` // the last installed project that was listed to the end
	Repos   bool             `json:"repos,omitempty"`   // so are the repositories
}

// resume returns where a sync begins: at the place where one with the same token was cut off not long ago, or at the start.
func (s *Service) resume(ctx context.Context, id magpie.IntegrationID, sealed []byte) (place, error) {
	text, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) (string, error) { return tx.SyncPlace(ctx, id) })
	if err != nil {
		return place{}, err
	}
	sum := sha256.Sum256(sealed)
	fresh := place{Pass: store.NewID[string](), Token: hex.EncodeToString(sum[:8]), Began: s.opts.Now()}
	var old place
	if text == "" || json.Unmarshal([]byte(text), &old) != nil || old.Token != fresh.Token || fresh.Began.Sub(old.Began) > s.opts.SyncEvery {
		return fresh, nil
	}
	return old, nil
}

// reach stores how far the pass came, in the transaction that takes in what it came to.
func (p *pass) reach(ctx context.Context, tx *store.Tx, to place) error {
	text, err := json.Marshal(to)
	if err != nil {
		return err
	}
	return tx.SetSyncPlace(ctx, p.i.ID, string(text))
}
