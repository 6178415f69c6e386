package measure

import (
	"io"
	"strings"
	"testing"
)

func TestCountsWhatProgramsPrint(t *testing.T) {
	tests := []struct {
		name   string
		count  func(io.Reader) (Tally, error)
		output string
		want   Tally
	}{
		{"magpie", CountMagpie, `{"rule":"a","fingerprint":"1"}` + "\n" + `{"rule":"b","fingerprint":"2"}` + "\n" + `{"rule":"a","fingerprint":"1"}` + "\n", Tally{3, 2}},
		{"magpie without findings", CountMagpie, "", Tally{0, 0}},
		{"gitleaks", CountGitleaks, `[{"RuleID":"a","Secret":"x","Tags":[]},{"RuleID":"b","Secret":"x"}]`, Tally{2, 1}},
		{"gitleaks with a finding inside a finding", CountGitleaks, `[{"RuleID":"a","Secret":"x","RequiredSets":[{"components":[{"RuleID":"c","Secret":"z"}]}]}]`, Tally{1, 1}},
		{"gitleaks without findings", CountGitleaks, "[]\n", Tally{0, 0}},
		{"gitleaks that prints nothing", CountGitleaks, "", Tally{0, 0}},
		{"titus", CountTitus, "[\n {\"RuleID\": \"np.1\", \"FindingID\": \"f1\"},\n {\"FindingID\": \"f2\"}, {\"FindingID\": \"f1\"}]\n", Tally{3, 2}},
		{"titus without findings", CountTitus, "null\n", Tally{0, 0}},
		{"trufflehog", CountTrufflehog, `{"DetectorName":"AWS","Raw":"x"}` + "\n" + `{"DetectorName":"Slack","Raw":"y"}`, Tally{2, 2}},
		{"lines", CountLines, "{}\n[1]\n", Tally{2, -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.count(strings.NewReader(tt.output))
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestRefusesOutputThatIsNoReport(t *testing.T) {
	tests := []struct {
		name   string
		count  func(io.Reader) (Tally, error)
		output string
	}{
		{"magpie in words", CountMagpie, "2 secrets in 3 places"},
		{"magpie, another form", CountMagpie, `{"findings":[]}`},
		{"magpie, cut off", CountMagpie, `{"fingerprint":"1"}` + "\n" + `{"fingerp`},
		{"gitleaks, an object", CountGitleaks, `{"RuleID":"a"}`},
		{"gitleaks, cut off", CountGitleaks, `[{"RuleID":"a","Secret":"x"}`},
		{"gitleaks, another form", CountGitleaks, `[{"rule":"a"}]`},
		{"titus, another form", CountTitus, `[{"id":"a"}]`},
		{"trufflehog, another form", CountTrufflehog, `{"level":"info"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := tt.count(strings.NewReader(tt.output)); err == nil {
				t.Errorf("got %+v, want an error", got)
			}
		})
	}
}

func TestErrorsShowNothingOfTheOutput(t *testing.T) {
	_, err := CountMagpie(strings.NewReader(`{"fingerprint":"1"} hunter2hunter2`))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without what was printed", err)
	}
}
