package detect_test

import (
	"testing"

	"magpie/internal/detect"
)

func engine(t testing.TB, opts detect.Options) *detect.Engine {
	t.Helper()
	e, err := detect.New(detect.BuiltIn(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestScanFindsToken(t *testing.T) {
	s := engine(t, detect.Options{}).NewScanner()
	data := []byte("a: 1\r\ntoken: " + "xox" + "b-718293645071-2903847561920-kQwErTzUiOpAsDfGhJkLyXc1\r\n")
	got := s.Scan(data)
	if len(got) != 1 || got[0].Rule.ID != "slack-bot-token" {
		t.Fatalf("got %v, want one slack-bot-token", got)
	}
	l, c, _, _ := detect.NewLines(data).Range(got[0])
	if l != 2 || c != 8 {
		t.Errorf("got line %d column %d, want 2, 8", l, c)
	}
}
