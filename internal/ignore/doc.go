// Package ignore decides which findings are known and accepted, and by whose word.
//
// Its entries come from files that people write beside their code: .magpieignore (paths in the form of .gitignore, values
// by fingerprint, detectors), and .gitleaks.toml and .gitleaksignore as they are. Parse reads one of them, a Set holds
// what they say, and Set.Match says which entry, if any, ignores a finding. A Baseline holds the secrets that were there
// when it was written, in a form from which none can be read.
//
// The package only judges. It opens no file, and what becomes of a finding that is ignored is for others to say.
package ignore
