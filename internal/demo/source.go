package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// language says how a source file of a repository looks: a head, and functions that commits add and change.
type language struct {
	ext  string
	head func(module string) string
	unit func(name, noun string, n int) string
	foot string
}

var languages = map[string]language{
	"go": {
		ext:  ".go",
		head: func(m string) string { return "package " + m + "\n\nimport (\n\t\"errors\"\n\t\"fmt\"\n)\n" },
		unit: func(name, noun string, n int) string {
			return fmt.Sprintf("\n// %s%s returns the %s with the given number, at most %d at once.\nfunc %s%s(number int) (string, error) {\n"+
				"\tif number < 0 || number > %d {\n\t\treturn \"\", errors.New(\"no such %s\")\n\t}\n\treturn fmt.Sprintf(\"%s-%%d\", number), nil\n}\n",
				title(name), title(noun), noun, n, title(name), title(noun), n, noun, noun)
		},
	},
	"java": {
		ext: ".java",
		head: func(m string) string {
			return "package com.example." + m + ";\n\npublic final class " + title(m) + " {\n"
		},
		unit: func(name, noun string, n int) string {
			return fmt.Sprintf("\n    /** %ss a %s; amounts are in cents. */\n    long %s%s(long amount) {\n        if (amount > %dL) {\n"+
				"            throw new IllegalArgumentException(\"%s is too large\");\n        }\n        return amount - amount %% %d;\n    }\n",
				title(name), noun, name, title(noun), n*1000, noun, n%9+2)
		},
		foot: "}\n",
	},
	"typescript": {
		ext: ".ts",
		head: func(m string) string {
			return "import { request } from './request';\n\nexport const area = '" + m + "';\n"
		},
		unit: func(name, noun string, n int) string {
			return fmt.Sprintf("\nexport async function %s%s(id: string, limit = %d): Promise<string[]> {\n"+
				"  const answer = await request(`/api/%ss/${id}?limit=${limit}`);\n  return answer.items.map((item) => item.%s);\n}\n",
				name, title(noun), n, noun, noun)
		},
	},
	"python": {
		ext: ".py",
		head: func(m string) string {
			return `"""` + title(m) + ` of the service."""` + "\n\nimport logging\n\nlog = logging.getLogger(__name__)\n"
		},
		unit: func(name, noun string, n int) string {
			return fmt.Sprintf("\n\ndef %s_%s(items, limit=%d):\n    \"\"\"%s every %s, up to a limit.\"\"\"\n    for number, item in enumerate(items):\n"+
				"        if number >= limit:\n            log.info(\"stopped after %%d\", number)\n            break\n        yield item.%s\n",
				name, noun, n, title(name), noun, noun)
		},
	},
	"terraform": {
		ext: ".tf",
		head: func(m string) string {
			return "# " + title(m) + " of the platform.\n\nlocals {\n  area = \"" + m + "\"\n}\n"
		},
		unit: func(name, noun string, n int) string {
			return fmt.Sprintf("\nresource \"example_%s\" \"%s\" {\n  name     = \"${local.area}-%s\"\n  replicas = %d\n}\n", noun, name, name, n%7+1)
		},
	},
	"shell": {
		ext:  ".sh",
		head: func(m string) string { return "#!/bin/sh\n# " + title(m) + " for every machine.\nset -eu\n" },
		unit: func(name, noun string, n int) string {
			return fmt.Sprintf("\n%s_%s() {\n  count=0\n  while [ \"$count\" -lt %d ]; do\n    echo \"%s %s $count\"\n    count=$((count + 1))\n  done\n}\n",
				name, noun, n, name, noun)
		},
	},
}

var (
	verbs = []string{"read", "write", "check", "merge", "split", "sort", "count", "move", "open", "close", "find", "keep", "drop", "send", "collect", "compare"}
	nouns = []string{"order", "invoice", "payment", "customer", "basket", "product", "price", "refund", "report", "queue", "node", "volume", "route", "page", "record", "account"}
	notes = []string{"Keep the old behaviour for callers without a limit.", "Found while reading the logs.", "Makes the next change smaller.", "As agreed in the review.", ""}
)

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// sourceFile is a file that grows and changes from commit to commit.
type sourceFile struct {
	path  string
	lang  language
	head  string
	units []string
}

func newSource(lang, folder, module string) *sourceFile {
	l := languages[lang]
	return &sourceFile{path: folder + module + l.ext, lang: l, head: l.head(module)}
}

// change adds a function or alters one, and returns the commit message.
func (f *sourceFile) change(r *rand.Rand) string {
	name, noun := pick(r, verbs), pick(r, nouns)
	unit := f.lang.unit(name, noun, 10+r.IntN(90))
	message := fmt.Sprintf("%s: %s each %s", strings.TrimSuffix(f.path[strings.LastIndexByte(f.path, '/')+1:], f.lang.ext), name, noun)
	if len(f.units) > 3 && r.IntN(3) == 0 {
		f.units[r.IntN(len(f.units))] = unit
		message += " once"
	} else {
		f.units = append(f.units, unit)
	}
	if note := pick(r, notes); note != "" {
		message += "\n\n" + note
	}
	return message
}

func (f *sourceFile) text() string { return f.head + strings.Join(f.units, "") + f.lang.foot }
