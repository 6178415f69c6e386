package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"magpie/internal/store"
)

// idle waits until no event and no job but future ones is left, and returns how many events were at first.
func (s *server) idle(ctx context.Context) (first int, err error) {
	db, err := store.Open(ctx, s.database)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	first = -1
	calm := 0
	for calm < 5 { // a sweep that has just been asked for shows no job yet
		left, err := query(ctx, db, func(row scanner) (n [2]int, err error) { return n, row.Scan(&n[0], &n[1]) }, `SELECT
			(SELECT count(*) FROM delivery WHERE scanned_at = 0),
			(SELECT count(*) FROM river_job WHERE state IN ('available', 'pending', 'running', 'retryable', 'scheduled')
				AND kind IN ('scan_push', 'scan_look', 'scan_first_look', 'perimeter_sweep'))`)
		if err != nil {
			return 0, err
		}
		if first < 0 {
			first = left[0][0]
		}
		calm++
		if left[0] != [2]int{} {
			calm = 0
		}
		select {
		case <-ctx.Done():
			return first, fmt.Errorf("waiting for the server to deal with %d events and %d jobs: %w", left[0][0], left[0][1], ctx.Err())
		case <-time.After(time.Second):
		}
	}
	return first, nil
}

type scanner interface{ Scan(dest ...any) error }

// query reads what the store has no function for.
func query[T any](ctx context.Context, db *store.DB, scan func(scanner) (T, error), text string) (all []T, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		switch native := tx.Native().(type) {
		case *sql.Tx:
			rows, err := native.QueryContext(ctx, text)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				v, err := scan(rows)
				if err != nil {
					return err
				}
				all = append(all, v)
			}
			return rows.Err()
		case pgx.Tx:
			rows, err := native.Query(ctx, text)
			if err != nil {
				return err
			}
			all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) { return scan(row) })
			return err
		}
		return errors.New("unknown database")
	})
	return all, err
}

// check compares what Bitbucket sent, and where its refs stand, with the server's database.
func check(ctx context.Context, s *server, b *bitbucket, out outcome) ([]string, error) {
	db, err := store.Open(ctx, s.database)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	text := func(row scanner) (key string, err error) {
		var first, second string
		err = row.Scan(&first, &second)
		return first + " " + second, err
	}
	stored, err := set(query(ctx, db, text, `SELECT CAST(r.remote_id AS TEXT), d.request_id FROM delivery d JOIN repo r ON r.id = d.repo_id WHERE d.scanned_at > 0`))
	if err != nil {
		return nil, err
	}
	found, err := query(ctx, db, text, `SELECT CAST(r.remote_id AS TEXT), o.commit_hash FROM occurrence o JOIN repo r ON r.id = o.repo_id`)
	if err != nil {
		return nil, err
	}
	tips, err := set(query(ctx, db, text, `SELECT CAST(r.remote_id AS TEXT), t.ref || ' ' || t.hash FROM tip t JOIN repo r ON r.id = t.repo_id WHERE t.scanned_at > 0`))
	if err != nil {
		return nil, err
	}
	problems := checkAcked(b, out, stored)
	more, err := checkSecrets(b, out, found)
	if err != nil {
		return nil, err
	}
	problems = append(problems, more...)
	behind := 0
	for _, r := range b.repos {
		for ref, at := range r.refs {
			if !tips[fmt.Sprintf("%d %s %s", r.id, ref, r.commits[at])] {
				behind++
				problems = append(problems, fmt.Sprintf("repository %d: %s stands where it was not scanned", r.id, ref))
			}
		}
	}
	fmt.Printf("refs that stand where they were not scanned: %d\n", behind)
	return problems, nil
}

func set(all []string, err error) (map[string]bool, error) {
	m := make(map[string]bool, len(all))
	for _, s := range all {
		m[s] = true
	}
	return m, err
}

func checkAcked(b *bitbucket, out outcome, stored map[string]bool) (problems []string) {
	lost := 0
	for _, d := range out.acked {
		if !stored[fmt.Sprintf("%d %s", d.Repo, d.ID)] {
			lost++
			problems = append(problems, fmt.Sprintf("repository %d: event %s was acknowledged at %s and is lost, or not dealt with", d.Repo, d.ID, d.Start.Format("15:04:05.000")))
		}
	}
	fmt.Printf("acknowledged and lost, or not dealt with: %d of %d\n", lost, len(out.acked))
	return problems
}

// checkSecrets looks for each secret that an acknowledged event leads to, and tells of the others.
func checkSecrets(b *bitbucket, out outcome, found []string) (problems []string, err error) {
	have, twice := map[string]int{}, 0
	for _, key := range found {
		if have[key]++; have[key] > 1 {
			twice++
			problems = append(problems, "found twice: "+key)
		}
	}
	acked, pushed := map[*repository]int{}, map[*repository]int{}
	for _, d := range out.all {
		r, top, err := b.named(d)
		if err != nil {
			return nil, err
		}
		pushed[r] = max(pushed[r], top)
		if d.Status/100 == 2 {
			acked[r] = max(acked[r], top)
		}
	}
	promised, missing, extra, caught := 0, 0, 0, 0
	for _, r := range b.repos {
		for i := 1; i <= pushed[r]; i++ {
			there := have[fmt.Sprintf("%d %s", r.id, r.commits[i])] > 0
			switch {
			case !r.secret[i]:
			case i <= acked[r]:
				promised++
				if !there {
					missing++
					problems = append(problems, fmt.Sprintf("repository %d: the secret of commit %s is missing", r.id, strings.ToLower(r.commits[i])))
				}
			default:
				extra++
				if there {
					caught++
				}
			}
		}
	}
	fmt.Printf("secrets that acknowledged events lead to: %d, missing %d, found twice %d; that only other pushes lead to: %d, of these found by sweeps %d\n",
		promised, missing, twice, extra, caught)
	return problems, nil
}
