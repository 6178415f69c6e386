package store

import "context"

// AllScans returns at most limit scans that the filter chooses, whatever their state, the last ones asked for first,
// before the cursor, which is "" or a former page's Next.
func (tx *Tx) AllScans(ctx context.Context, f ScanFilter, cursor string, limit int) (ScanPage, error) {
	all, err := collect(ctx, tx, readListedScan, listedScan+`($1 = '' OR s.kind = $1) AND ($2 = '' OR s.state = $2)
		AND ($3 = '' OR s.repo_id = $3) AND ($4 = '' OR s.id < $4) ORDER BY s.id DESC LIMIT $5`,
		f.Kind, f.State, f.Repo, cursor, limit+1)
	if err != nil || len(all) <= limit {
		return ScanPage{Scans: all}, err
	}
	return ScanPage{Scans: all[:limit], Next: string(all[limit-1].ID)}, nil
}
