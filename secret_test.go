package magpie

import "testing"

func TestSecretCutFrom(t *testing.T) {
	t.Parallel()
	secret := NewSecret("made+up/of=pieces")
	for text, want := range map[string]string{
		"nothing of it":                      "nothing of it",
		"token made+up/of=pieces is known":   "token •••• is known",
		"made+up/of=piecesmade+up/of=pieces": "••••••••",
		"?t=made%2Bup%2Fof%3Dpieces":         "?t=••••",
		"/t/made+up%2Fof=pieces":             "/t/••••",
	} {
		if got := secret.CutFrom(text); got != want {
			t.Errorf("CutFrom(%q) = %q, want %q", text, got, want)
		}
	}
	for _, short := range []Secret{{}, NewSecret("a")} {
		if got := short.CutFrom("a text"); got != "a text" {
			t.Errorf("%d bytes are cut from a text: %q", short.Len(), got)
		}
	}
}
