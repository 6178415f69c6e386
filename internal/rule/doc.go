// Package rule is the format in which detectors are written: it parses, checks and compiles them. The engine that runs
// them, and proves their examples, is package detect.
//
// A rule is data with its own proof: what the secret is, what an attacker could do with it, how to revoke it, where
// its format is published, how it is recognised, and texts that it must and must not match. The one idea needed to
// write one is that recognition starts at a literal. Every match of a rule must contain one of a few fixed strings (its
// anchors); the engine looks for all anchors of all rules in one pass and tries a rule only where one of its anchors
// stands, on a window of declared size around it. So the verdict at an anchor is a pure function of those bytes, cost
// does not grow with the number of rules, and a deltified history need not be scanned twice.
//
// A file holds the rules of one vendor:
//
//	vendor: Example
//	rules:
//	  - id: example-token              # stable, lower case, dashes
//	    title: Example access token
//	    category: cloud                # one of Categories
//	    severity: high                 # critical, high, medium, low, info
//	    confidence: high               # high, medium, low; a passed check may raise it to proven
//	    description: What it is and what an attacker could do with it.
//	    remediation: How to revoke it.
//	    references: [https://example.com/docs/token-format]
//	    since: "1.0"
//	    literals: [exm_]               # anchors, exact case
//	    pattern: \b(?P<secret>exm_[0-9a-f]{32})\b
//	    examples:
//	      match: [...]                 # each must be found
//	      no_match: [...]              # none may be found
//
// In examples the marker <> is removed before use, so that an example written "ex<>m_0123" is not itself found by a
// scanner that reads the rule file.
//
// Instead of pattern a rule may give value: an expression for a whole value that is assigned to a name which holds one
// of the rule's keywords, in any of the many ways source and configuration files assign.
//
// Package rule does no matching of its own beyond the checks (checksums, structures) that rules name; docs/rules.md is
// the reference for people who write rules.
package rule
