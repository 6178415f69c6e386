package measure

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Tally is what a scanner says it found.
type Tally struct {
	Findings int `json:"findings"`
	// Secrets counts different ones; -1 if the program does not tell.
	Secrets int `json:"secrets"`
}

// distinct counts different values without keeping them, which may be secrets.
type distinct map[[sha256.Size]byte]struct{}

func (d distinct) add(parts ...[]byte) {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	d[[sha256.Size]byte(h.Sum(nil))] = struct{}{}
}

// CountMagpie reads JSON Lines of magpie scan.
func CountMagpie(stdout io.Reader) (Tally, error) {
	type line struct {
		Fingerprint json.RawMessage `json:"fingerprint"`
	}
	secrets := distinct{}
	n, err := eachObject(stdout, func(l line) error {
		if len(l.Fingerprint) == 0 {
			return errors.New("a finding has no fingerprint")
		}
		secrets.add(l.Fingerprint)
		return nil
	})
	return Tally{Findings: n, Secrets: len(secrets)}, err
}

// CountGitleaks reads the report of gitleaks, whose form betterleaks shares: an array of findings.
func CountGitleaks(stdout io.Reader) (Tally, error) {
	type finding struct {
		RuleID string
		Secret json.RawMessage
	}
	secrets := distinct{}
	n, err := eachElement(stdout, func(f finding) error {
		if f.RuleID == "" {
			return errors.New("a finding has no RuleID")
		}
		secrets.add(f.Secret)
		return nil
	})
	return Tally{Findings: n, Secrets: len(secrets)}, err
}

// CountTitus reads the report of titus: an array of matches, in which equal secrets of one rule share an id.
func CountTitus(stdout io.Reader) (Tally, error) {
	type match struct {
		FindingID json.RawMessage
	}
	secrets := distinct{}
	n, err := eachElement(stdout, func(m match) error {
		if len(m.FindingID) == 0 {
			return errors.New("a match has no FindingID")
		}
		secrets.add(m.FindingID)
		return nil
	})
	return Tally{Findings: n, Secrets: len(secrets)}, err
}

// CountTrufflehog reads JSON Lines of trufflehog.
func CountTrufflehog(stdout io.Reader) (Tally, error) {
	type line struct {
		DetectorName string
		Raw          json.RawMessage
	}
	secrets := distinct{}
	n, err := eachObject(stdout, func(l line) error {
		if l.DetectorName == "" {
			return errors.New("a finding has no DetectorName")
		}
		secrets.add(l.Raw)
		return nil
	})
	return Tally{Findings: n, Secrets: len(secrets)}, err
}

// CountLines counts JSON Lines whatever they hold.
func CountLines(stdout io.Reader) (Tally, error) {
	n, err := eachObject(stdout, func(json.RawMessage) error { return nil })
	return Tally{Findings: n, Secrets: -1}, err
}

// eachObject calls f with every value of a sequence of them, and returns how many there are.
func eachObject[T any](r io.Reader, f func(T) error) (int, error) {
	decoder := json.NewDecoder(r)
	for n := 0; ; n++ {
		var v T
		if err := decoder.Decode(&v); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, badOutput(err)
		}
		if err := f(v); err != nil {
			return n, badOutput(err)
		}
	}
}

// eachElement calls f with every element of one array, and returns how many there are. Some programs print null, or
// nothing at all, if they found nothing.
func eachElement[T any](r io.Reader, f func(T) error) (int, error) {
	in := bufio.NewReader(r)
	if none, err := isNothing(in); none || err != nil {
		return 0, err
	}
	decoder := json.NewDecoder(in)
	if token, err := decoder.Token(); err != nil || token != json.Delim('[') {
		return 0, badOutput(errors.Join(errors.New("it does not begin with an array"), err))
	}
	n := 0
	for ; decoder.More(); n++ {
		var v T
		if err := decoder.Decode(&v); err != nil {
			return n, badOutput(err)
		}
		if err := f(v); err != nil {
			return n, badOutput(err)
		}
	}
	if _, err := decoder.Token(); err != nil {
		return n, badOutput(err)
	}
	return n, nil
}

// isNothing reports whether there is no more than white space, or null, to read.
func isNothing(in *bufio.Reader) (bool, error) {
	start, err := in.Peek(64)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	start = bytes.TrimSpace(start)
	return err != nil && (len(start) == 0 || string(start) == "null"), nil
}

// badOutput wraps an error about what a program printed, without any of it.
func badOutput(err error) error { return fmt.Errorf("its output can't be read: %w", err) }
