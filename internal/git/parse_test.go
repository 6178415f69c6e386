package git_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"magpie/internal/git"
	"magpie/internal/git/gittest"
)

const (
	treeHex   = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
	parentHex = "1111111111111111111111111111111111111111"
)

func mustID(t testing.TB, hex string) git.ID {
	t.Helper()
	id, err := git.ParseID(hex)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestParseCommit(t *testing.T) {
	at := time.Unix(1700000000, 0)
	plain := git.Person{Name: "Ann", Email: "ann@example.com", When: at}
	for name, tc := range map[string]struct {
		text    string
		parents int
		author  git.Person
		message string
	}{
		"ordinary":       {"tree T\nparent P\nauthor Ann <ann@example.com> 1700000000 +0000\ncommitter C <c@example.com> 1 +0000\n\nhi\n", 1, plain, "hi\n"},
		"two parents":    {"tree T\nparent P\nparent P\nauthor Ann <ann@example.com> 1700000000 +0000\n\n", 2, plain, ""},
		"no author":      {"tree T\ncommitter C <c@example.com> 1 +0000\n\nhi", 0, git.Person{}, "hi"},
		"no end":         {"tree T\nauthor Ann <ann@example.com> 1700000000 +0000", 0, plain, ""},
		"signed":         {"tree T\nauthor Ann <ann@example.com> 1700000000 +0000\ngpgsig -----BEGIN\n tree X\n author Y\n \n parent Z\n -----END\n\nhi", 0, plain, "hi"},
		"merge tag":      {"tree T\nparent P\nmergetag object P\n type commit\n\nhi", 1, git.Person{}, "hi"},
		"two authors":    {"tree T\nauthor Ann <ann@example.com> 1700000000 +0000\nauthor Other <o@example.com> 5 +0000\n\nhi", 0, plain, "hi"},
		"no zone":        {"tree T\nauthor Ann <ann@example.com> 1700000000\n\n", 0, plain, ""},
		"absurd zone":    {"tree T\nauthor Ann <ann@example.com> 1700000000 +51800\n\n", 0, plain, ""},
		"zone of a day":  {"tree T\nauthor Ann <ann@example.com> 1700000000 -7400\n\n", 0, plain, ""},
		"no date":        {"tree T\nauthor Ann <ann@example.com>\n\n", 0, git.Person{Name: "Ann", Email: "ann@example.com"}, ""},
		"date overflows": {"tree T\nauthor Ann <ann@example.com> 99999999999999999999 +0000\n\n", 0, git.Person{Name: "Ann", Email: "ann@example.com"}, ""},
		"year 12000":     {"tree T\nauthor Ann <ann@example.com> 316516032000 +0000\n\n", 0, git.Person{Name: "Ann", Email: "ann@example.com"}, ""},
		"before 1970":    {"tree T\nauthor Ann <ann@example.com> -86400 +0000\n\n", 0, git.Person{Name: "Ann", Email: "ann@example.com", When: time.Unix(-86400, 0)}, ""},
		"no mail":        {"tree T\nauthor Ann\n\n", 0, git.Person{Name: "Ann"}, ""},
		"empty mail":     {"tree T\nauthor Ann <> 1700000000 +0000\n\n", 0, git.Person{Name: "Ann", When: at}, ""},
		"mail in name":   {"tree T\nauthor Ann <a> <ann@example.com> 1700000000 +0000\n\n", 0, git.Person{Name: "Ann", Email: "a> <ann@example.com", When: at}, ""},
		"latin-1":        {"tree T\nauthor J\xf6rg <j@example.com> 1700000000 +0000\nencoding ISO-8859-1\n\n", 0, git.Person{Name: "Jörg", Email: "j@example.com", When: at}, ""},
		"not utf-8":      {"tree T\nauthor J\xf6rg <j@example.com> 1700000000 +0000\n\n", 0, git.Person{Name: "J\uFFFDrg", Email: "j@example.com", When: at}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("tree T", "tree "+treeHex, "parent P", "parent "+parentHex).Replace(tc.text)
			c, err := git.ParseCommit(git.ID{}, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if c.Tree != mustID(t, treeHex) || len(c.Parents) != tc.parents || string(c.Message) != tc.message {
				t.Errorf("got tree %v, %d parents, message %q", c.Tree, len(c.Parents), c.Message)
			}
			if diff := gocmp.Diff(tc.author, c.Author, cmpopts.EquateApproxTime(0)); diff != "" {
				t.Errorf("author (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseCommitKeepsZone(t *testing.T) {
	c, err := git.ParseCommit(git.ID{}, []byte("tree "+treeHex+"\nauthor A <a> 1700000000 -0730\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Author.When.Format(time.RFC3339), "2023-11-14T14:43:20-07:30"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseErrorsNameTheObject(t *testing.T) {
	id := mustID(t, parentHex)
	entry := "100644 f\x00" + strings.Repeat("i", 20)
	tree := func(text string) error {
		for _, err := range git.ParseTree(id, []byte(text), git.SHA1) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	commit := func(text string) error { _, err := git.ParseCommit(id, []byte(text)); return err }
	tag := func(text string) error { _, err := git.ParseTag(id, []byte(text)); return err }
	for name, err := range map[string]error{
		"empty commit":      commit(""),
		"commit, no tree":   commit("author A <a> 1 +0000\n\nhi"),
		"commit, bad tree":  commit("tree 12345\n\n"),
		"commit, bad paren": commit("tree " + treeHex + "\nparent main\n\n"),
		"tree cut in id":    tree(entry + entry[:20]),
		"tree cut in name":  tree(entry + "100644 f"),
		"tree without mode": tree(" f\x00" + strings.Repeat("i", 20)),
		"tree, empty name":  tree("100644 \x00" + strings.Repeat("i", 20)),
		"tree, bad mode":    tree("1006x4 f\x00" + strings.Repeat("i", 20)),
		"tag of nothing":    tag("type commit\n\n"),
		"tag, bad object":   tag("object HEAD\n\n"),
	} {
		e, ok := errors.AsType[*git.ObjectError](err)
		if !ok || e.ID != id || e.Reason != git.ReasonCorrupt || !strings.Contains(err.Error(), parentHex) {
			t.Errorf("%s: got %v, want an error naming the object", name, err)
		}
	}
	if err := tree(entry + entry); err != nil {
		t.Errorf("good tree: %v", err)
	}
}

func TestParseTag(t *testing.T) {
	tag, err := git.ParseTag(git.ID{}, []byte("object "+parentHex+"\ntype commit\ntag v1\ntagger A <a@example.com> 1700000000 +0000\n\nnotes\n"))
	if err != nil || tag.Object != mustID(t, parentHex) || tag.Kind != git.Commit || tag.Name != "v1" || tag.Tagger.Email != "a@example.com" || string(tag.Message) != "notes\n" {
		t.Errorf("got %+v, %v", tag, err)
	}
}

func TestIDs(t *testing.T) {
	if got := git.NewHasher(git.SHA1).Sum(git.Tree, nil).Hash(); got != treeHex {
		t.Errorf("empty tree: got %s, want %s", got, treeHex)
	}
	const tree256 = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
	if got := git.NewHasher(git.SHA256).Sum(git.Tree, nil).Hash(); got != tree256 {
		t.Errorf("empty tree: got %s, want %s", got, tree256)
	}
	if a, b := mustID(t, treeHex), mustID(t, strings.ToUpper(treeHex)); a != b || a.IsZero() || a.Format() != git.SHA1 {
		t.Errorf("%v and %v differ by their case", a, b)
	}
	if id := mustID(t, strings.Repeat("0", 40)); !id.IsZero() {
		t.Errorf("%v is not zero", id)
	}
	for _, bad := range []string{"", "12", strings.Repeat("g", 40), strings.Repeat("a", 41)} {
		if id, err := git.ParseID(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, id)
		}
	}
}

// seeds adds real objects of one kind to a fuzz corpus.
func seeds(f *testing.F, kind string) {
	repo := gittest.New(f, "sha1")
	repo.Generate(1, 15)
	for _, o := range repo.Objects() {
		if o.Kind == kind {
			f.Add(o.Data)
		}
	}
}

func FuzzTree(f *testing.F) {
	seeds(f, "tree")
	f.Fuzz(func(t *testing.T, data []byte) {
		used := 0
		for e, err := range git.ParseTree(git.ID{}, data, git.SHA1) {
			if err != nil {
				return
			}
			if len(e.Name) == 0 || strings.ContainsRune(string(e.Name), 0) {
				t.Errorf("accepted the name %q", e.Name)
			}
			used += len(e.Name) + 20 + 3
		}
		if used > len(data) {
			t.Errorf("%d bytes of entries in %d bytes", used, len(data))
		}
	})
}

func FuzzCommit(f *testing.F) {
	seeds(f, "commit")
	f.Add([]byte("tree " + treeHex + "\nparent " + parentHex + "\nauthor <>>< 1 +9999\ngpgsig x\n y\n\nz"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := git.ParseCommit(git.ID{}, data)
		if err != nil {
			return
		}
		if _, err := c.Author.When.MarshalText(); err != nil || c.Tree.IsZero() {
			t.Errorf("accepted tree %v, date %v: %v", c.Tree, c.Author.When, err)
		}
		git.ParseTag(git.ID{}, data)
	})
}
