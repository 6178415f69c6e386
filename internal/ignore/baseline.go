package ignore

import (
	"bytes"
	"cmp"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"magpie"
)

// Limits and form of baselines.
const (
	MaxBaselineBytes = 64 << 20
	baselineVersion  = 1
	baselineRounds   = 10_000
	maxRounds        = 100_000
	saltBytes        = 16
	digestBytes      = 16
)

// BaselineFile is a baseline that was read, or is to be written: the secrets that stood there then. It knows them by a
// digest under a random salt of the file, made so slowly that trying out what a password may be costs something too. Neither where
// a secret stands nor in which commit matters. It is not for concurrent use.
type BaselineFile struct {
	salt    []byte
	rounds  int
	entries []*baselineEntry
	byValue map[string]*baselineEntry
	digests map[string]string // of values seen in this run; in memory only
}

type baselineEntry struct {
	Value string        `json:"value"`
	Rule  magpie.RuleID `json:"rule"`
	File  string        `json:"file"`
	met   bool
}

// baselineForm is a baseline as it is written.
type baselineForm struct {
	Version int              `json:"magpie_baseline"`
	Salt    string           `json:"salt"`
	Rounds  int              `json:"rounds"`
	Secrets []*baselineEntry `json:"secrets"`
}

// NewBaseline returns an empty baseline.
func NewBaseline() *BaselineFile {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	return newBaseline(salt, baselineRounds)
}

func newBaseline(salt []byte, rounds int) *BaselineFile {
	return &BaselineFile{salt: salt, rounds: rounds, byValue: map[string]*baselineEntry{}, digests: map[string]string{}}
}

// ReadBaseline reads a baseline. The error is of kind KindInvalid and names the file.
func ReadBaseline(name string, data []byte) (*BaselineFile, error) {
	var form baselineForm
	if len(data) > MaxBaselineBytes {
		return nil, magpie.Errorf(magpie.KindInvalid, "%s: the baseline is larger than %d MiB", name, MaxBaselineBytes>>20)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&form); err != nil || form.Version == 0 {
		return nil, magpie.Errorf(magpie.KindInvalid, "%s is not a baseline that magpie scan wrote", name)
	}
	salt, err := hex.DecodeString(form.Salt)
	switch {
	case form.Version != baselineVersion:
		return nil, magpie.Errorf(magpie.KindInvalid, "%s is a baseline of version %d; this program reads version %d", name, form.Version, baselineVersion)
	case err != nil || len(salt) != saltBytes:
		return nil, magpie.Errorf(magpie.KindInvalid, "%s: the salt of the baseline is not %d hexadecimal digits", name, 2*saltBytes)
	case form.Rounds < 1 || form.Rounds > maxRounds:
		return nil, magpie.Errorf(magpie.KindInvalid, "%s: the rounds of the baseline are not between 1 and %d", name, maxRounds)
	}
	b := newBaseline(salt, form.Rounds)
	for i, e := range form.Secrets {
		if e == nil || len(e.Value) != 2*digestBytes || !isHex(e.Value) {
			return nil, magpie.Errorf(magpie.KindInvalid, "%s: secret %d of the baseline has no value of %d hexadecimal digits", name, i+1, 2*digestBytes)
		}
		if b.byValue[e.Value] == nil {
			b.byValue[e.Value] = e
			b.entries = append(b.entries, e)
		}
	}
	return b, nil
}

func isHex(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil
}

// digest returns what stands for a value in this baseline.
func (b *BaselineFile) digest(secret []byte) (string, error) {
	if d, ok := b.digests[string(secret)]; ok {
		return d, nil
	}
	raw, err := pbkdf2.Key(sha256.New, string(secret), b.salt, b.rounds, digestBytes)
	if err != nil {
		return "", fmt.Errorf("comparing with the baseline: %w", err)
	}
	d := hex.EncodeToString(raw)
	b.digests[string(secret)] = d
	return d, nil
}

// Holds reports whether a secret was there when the baseline was written, and remembers that it still is.
func (b *BaselineFile) Holds(secret []byte) (bool, error) {
	if len(b.entries) == 0 {
		return false, nil
	}
	d, err := b.digest(secret)
	if err != nil {
		return false, err
	}
	e := b.byValue[d]
	if e != nil {
		e.met = true
	}
	return e != nil, nil
}

// Stale returns, in words, the secrets of the baseline that Holds was not asked about: they are gone.
func (b *BaselineFile) Stale() (gone []string) {
	for _, e := range b.entries {
		if !e.met {
			gone = append(gone, fmt.Sprintf("%s in %s", e.Rule, cmp.Or(e.File, "an unknown file")))
		}
	}
	return gone
}

// Len returns how many secrets the baseline holds.
func (b *BaselineFile) Len() int { return len(b.entries) }

// Fresh returns an empty baseline with the same salt, so that secrets that are written again look the same.
func (b *BaselineFile) Fresh() *BaselineFile {
	fresh := newBaseline(b.salt, b.rounds)
	fresh.digests = b.digests
	return fresh
}

// Put takes a finding's secret into the baseline, once.
func (b *BaselineFile) Put(f magpie.Finding) error {
	d, err := b.digest(f.Secret.Reveal())
	if err != nil {
		return err
	}
	if b.byValue[d] == nil {
		e := &baselineEntry{Value: d, Rule: f.Rule, File: f.File}
		b.byValue[d] = e
		b.entries = append(b.entries, e)
	}
	return nil
}

// Encode returns the baseline as a file, a secret a line, in an order that does not depend on anything else.
func (b *BaselineFile) Encode() ([]byte, error) {
	sorted := slices.Clone(b.entries)
	slices.SortFunc(sorted, func(x, y *baselineEntry) int {
		return cmp.Or(cmp.Compare(x.File, y.File), cmp.Compare(x.Rule, y.Rule), cmp.Compare(x.Value, y.Value))
	})
	var out bytes.Buffer
	fmt.Fprintf(&out, "{\n  \"magpie_baseline\": %d,\n  \"salt\": %q,\n  \"rounds\": %d,\n  \"secrets\": [", baselineVersion, hex.EncodeToString(b.salt), b.rounds)
	for i, e := range sorted {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("writing a baseline: %w", err)
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n    ")
		out.Write(line)
	}
	out.WriteString("\n  ]\n}\n")
	return out.Bytes(), nil
}
