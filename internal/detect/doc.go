// Package detect finds secrets in bytes.
//
// An Engine holds a set of rules (package rule) and is shared; a Scanner holds the buffers of one goroutine. A scan is
// one pass of a literal matcher over the data and, at each anchor that it finds, the verdict of the rules that have it.
//
// The one idea needed to use it: a verdict is a pure function of the few bytes around its anchor, and each match says
// which (WindowStart, WindowEnd). So the same bytes give the same verdict in whatever file and wherever in it they stand.
// Resolve then settles, over all candidates of a blob, which of several matches on the same characters stands: a rule
// that knows a vendor's format beats one that does not. Encoded text (package decode) is looked into to a depth of
// three; what is found there is placed at the encoded run.
//
// The package knows no paths while it scans; Engine.Allowed is asked when a match is placed. It opens no files, keeps no
// state between scans and never prints what it found.
package detect
