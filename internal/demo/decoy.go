package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// decoys are files full of what only looks like a secret: placeholders, references, hashes, ids and published examples.
// Each repository has them, and none of them may become an incident.
func decoys(r *rand.Rand, name string) map[string]string {
	files := map[string]string{
		"README.md": "# " + name + "\n\nCopy `.env.example` to `.env` and fill it in:\n\n```\nGITHUB_TOKEN=gh" + "p_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" +
			"AWS_ACCESS_KEY_ID=AK" + "IAIOSFODNN7EXAMPLE\nDATABASE_URL=postgres://user:password@localhost:5432/" + strings.ReplaceAll(name, "-", "_") + "\n```\n\n" +
			"Then run `make run`. Ask in the team's channel for access.\n",
		".env.example": "GITHUB_TOKEN=your-token-here\nAPI_KEY=<your api key>\nDB_PASSWORD=changeme\nSECRET_KEY=${SECRET_KEY}\nSLACK_TOKEN=xox" + "b-...\n",
		"deploy/values.yaml": "image:\n  tag: \"1." + fmt.Sprint(r.IntN(40)) + "\"\n  digest: sha256:" + text(r, lowerHex, 64) +
			"\nrelease: " + uuidText(r) + "\ndatabase:\n  passwordFrom:\n    secretKeyRef:\n      name: database\n      key: password\n",
		"package-lock.json": lockFile(r, name),
		"docs/usage.md": "Set the password with `--password \"$PASSWORD\"`; never write it into a file.\n\nA request has an id such as `" + uuidText(r) +
			"` and belongs to the commit `" + text(r, lowerHex, 40) + "`.\n",
	}
	return files
}

func lockFile(r *rand.Rand, name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n  \"name\": %q,\n  \"lockfileVersion\": 3,\n  \"packages\": {\n", name)
	for i := range 60 {
		comma := ","
		if i == 59 {
			comma = ""
		}
		part := pick(r, verbs) + "-" + pick(r, nouns)
		fmt.Fprintf(&b, "    \"node_modules/%s-%d\": {\n      \"version\": \"%d.%d.%d\",\n      \"resolved\": \"https://registry.example.com/%s-%d.tgz\",\n      \"integrity\": %q\n    }%s\n",
			part, i, r.IntN(9), r.IntN(20), r.IntN(20), part, i, integrity(r), comma)
	}
	b.WriteString("  }\n}\n")
	return b.String()
}
