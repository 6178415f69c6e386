package main

import (
	"io"
	"strings"
	"testing"
)

func TestCountsWhatProgramsPrint(t *testing.T) {
	tests := []struct {
		name   string
		count  func(io.Reader) (tally, error)
		output string
		want   tally
	}{
		{"magpie", countMagpie, `{"rule":"a","fingerprint":"1"}` + "\n" + `{"rule":"b","fingerprint":"2"}` + "\n" + `{"rule":"a","fingerprint":"1"}` + "\n", tally{3, 2}},
		{"magpie without findings", countMagpie, "", tally{0, 0}},
		{"gitleaks", countGitleaks, `[{"RuleID":"a","Secret":"x","Tags":[]},{"RuleID":"b","Secret":"x"}]`, tally{2, 1}},
		{"gitleaks with a finding inside a finding", countGitleaks, `[{"RuleID":"a","Secret":"x","RequiredSets":[{"components":[{"RuleID":"c","Secret":"z"}]}]}]`, tally{1, 1}},
		{"gitleaks without findings", countGitleaks, "[]\n", tally{0, 0}},
		{"gitleaks that prints nothing", countGitleaks, "", tally{0, 0}},
		{"titus", countTitus, "[\n {\"RuleID\": \"np.1\", \"FindingID\": \"f1\"},\n {\"FindingID\": \"f2\"}, {\"FindingID\": \"f1\"}]\n", tally{3, 2}},
		{"titus without findings", countTitus, "null\n", tally{0, 0}},
		{"trufflehog", countTrufflehog, `{"DetectorName":"AWS","Raw":"x"}` + "\n" + `{"DetectorName":"Slack","Raw":"y"}`, tally{2, 2}},
		{"lines", countLines, "{}\n[1]\n", tally{2, -1}},
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
		count  func(io.Reader) (tally, error)
		output string
	}{
		{"magpie in words", countMagpie, "2 secrets in 3 places"},
		{"magpie, another form", countMagpie, `{"findings":[]}`},
		{"magpie, cut off", countMagpie, `{"fingerprint":"1"}` + "\n" + `{"fingerp`},
		{"gitleaks, an object", countGitleaks, `{"RuleID":"a"}`},
		{"gitleaks, cut off", countGitleaks, `[{"RuleID":"a","Secret":"x"}`},
		{"gitleaks, another form", countGitleaks, `[{"rule":"a"}]`},
		{"titus, another form", countTitus, `[{"id":"a"}]`},
		{"trufflehog, another form", countTrufflehog, `{"level":"info"}`},
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
	_, err := countMagpie(strings.NewReader(`{"fingerprint":"1"} hunter2hunter2`))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without what was printed", err)
	}
}
