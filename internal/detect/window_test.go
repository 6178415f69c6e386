package detect_test

import (
	"strings"
	"testing"

	"magpie/internal/detect"
)

// TestWindowDecides takes each example's window out of one file and puts it into another: the match must stand there
// too, since the window holds all that decides. That is what lets a scan of deltas inherit verdicts.
func TestWindowDecides(t *testing.T) {
	e := engine(t, detect.Options{NoDecode: true})
	s, again := e.NewScanner(), e.NewScanner()
	pad := strings.Repeat(". ", 5000)
	for _, r := range e.Rules() {
		for i, example := range r.Match {
			data := []byte(pad + example + " " + pad)
			for _, m := range s.Scan(data) {
				m = m.Clone()
				other := []byte(strings.Repeat("\n# other", 900) + string(data[m.WindowStart:m.WindowEnd]) + strings.Repeat("\n# text", 900))
				found := false
				for _, n := range again.Scan(other) {
					found = found || n.Rule == m.Rule && string(n.Secret) == string(m.Secret)
				}
				if !found {
					t.Errorf("%s example %d: its window alone does not give the match", m.Rule.ID, i+1)
				}
			}
		}
	}
}
