package archive

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// database returns the file of a database after some statements, and its write-ahead log as it is while it is open.
func database(t testing.TB, statements ...string) (file, log []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%.100s: %v", s, err)
		}
	}
	if strings.Contains(statements[0], "wal") {
		log = read(t, path+"-wal")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return read(t, path), log
}

// long is a text that goes on over several pages.
func long() string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < 20_000 {
		fmt.Fprintf(&b, "%x ", r.Uint64())
	}
	return b.String()
}

func TestSQLite(t *testing.T) {
	many := []string{"PRAGMA page_size = 1024", "CREATE TABLE big (id INTEGER PRIMARY KEY, t TEXT)", "BEGIN"}
	var rows strings.Builder
	for i := range 3000 {
		many = append(many, fmt.Sprintf("INSERT INTO big (t) VALUES ('row %d')", i))
		fmt.Fprintf(&rows, "{\"t\": \"row %d\"}\n", i)
	}
	for name, tt := range map[string]struct {
		statements []string
		want       map[string]string // members, of which others may be there
	}{
		"names of columns": {
			[]string{
				"CREATE TABLE \"a b\" (id INTEGER PRIMARY KEY, -- a, comment\n \"key\" TEXT NOT NULL CHECK (length(key) > 1), [value] TEXT DEFAULT ('a,b'), n REAL, UNIQUE (key))",
				"INSERT INTO \"a b\" (key, value, n) VALUES ('TOKEN', 'abc', 1.5), ('two', x'64' || 'ef', 3)",
			},
			map[string]string{"sqlite:a b": "{\"key\": \"TOKEN\", \"value\": \"abc\"}\n{\"key\": \"two\", \"value\": \"def\"}\n"},
		},
		"many pages": {append(many, "COMMIT"), map[string]string{"sqlite:big": rows.String()}},
		"long rows": {
			[]string{"PRAGMA page_size = 1024", "CREATE TABLE t (a TEXT, b TEXT)", "INSERT INTO t VALUES ('" + long() + "', 'end')"},
			map[string]string{"sqlite:t": "{\"a\": \"" + long() + "\", \"b\": \"end\"}\n"},
		},
		"long rows without ids": {
			[]string{"PRAGMA page_size = 1024", "CREATE TABLE t (a TEXT PRIMARY KEY, b TEXT) WITHOUT ROWID", "INSERT INTO t VALUES ('a', '" + long() + "'), ('b', '')"},
			map[string]string{"sqlite:t": "{\"a\": \"a\", \"b\": \"" + long() + "\"}\n{\"a\": \"b\"}\n"},
		},
		"UTF-16, low first": {
			[]string{"PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (a TEXT, b TEXT)", "INSERT INTO t VALUES ('plain', 'ü'), ('" + long() + "', '')"},
			map[string]string{"sqlite:t": "{\"a\": \"plain\", \"b\": \"ü\"}\n{\"a\": \"" + long() + "\"}\n"},
		},
		"UTF-16, high first": {
			[]string{"PRAGMA encoding = 'UTF-16be'", "CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES ('plain')"},
			map[string]string{"sqlite:t": "{\"a\": \"plain\"}\n"},
		},
		"blobs": {
			[]string{"CREATE TABLE t (a BLOB)", "INSERT INTO t VALUES (x'6162636465'), (x'00010203616200'), (x'" + fmt.Sprintf("%x", squeezed(t, []byte("packed"))) + "')"},
			map[string]string{"sqlite:t": "{\"a\": \"abcde\"}\n", "sqlite:t (blobs)": "\x00\x01\x02\x03ab\x00\n", "sqlite:t (blob)": string(squeezed(t, []byte("packed")))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			file, _ := database(t, tt.statements...)
			members, skipped := gather(t, file)
			for path, want := range tt.want {
				if members[path] != want {
					t.Errorf("%s is %.300q, want %.300q", path, members[path], want)
				}
			}
			if len(skipped) > 0 {
				t.Errorf("skipped %q", skipped)
			}
		})
	}
}

// TestSQLiteDeleted looks for rows that were deleted: one among others, all of a table, and a long one.
func TestSQLiteDeleted(t *testing.T) {
	statements := []string{"PRAGMA secure_delete = 0", "CREATE TABLE a (t TEXT)", "CREATE TABLE gone (t TEXT)", "BEGIN"}
	for i := range 200 {
		statements = append(statements, fmt.Sprintf("INSERT INTO a VALUES ('kept number %d')", i), fmt.Sprintf("INSERT INTO gone VALUES ('dropped number %d')", i))
	}
	statements = append(statements, "INSERT INTO gone VALUES ('"+long()+"')", "COMMIT", "DELETE FROM a WHERE t = 'kept number 77'", "DROP TABLE gone")
	file, _ := database(t, statements...)
	members, skipped := gather(t, file)
	if strings.Contains(members["sqlite:a"], "number 77\"") || !strings.Contains(members["sqlite:free room"], "number 77") {
		t.Errorf("the deleted row is not in the free room: %.300q", members["sqlite:free room"])
	}
	for _, want := range []string{"dropped number 0", "dropped number 100", "dropped number 199", long()[15_000:16_000]} {
		if !strings.Contains(members["sqlite:free pages"]+members["sqlite:free room"], want) {
			t.Errorf("%.40q of the table that was dropped is not there", want)
		}
	}
	if len(skipped) > 0 {
		t.Errorf("skipped %q", skipped)
	}
}

func TestSQLiteLog(t *testing.T) {
	_, log := database(t, "PRAGMA journal_mode = wal", "CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES ('in the log')", "INSERT INTO t VALUES ('"+long()+"')")
	members, _ := gather(t, log)
	if got := members["sqlite:free pages"]; !strings.Contains(got, "{\"in the log\"}") || !strings.Contains(got, long()) {
		t.Errorf("got %.200q", got)
	}
}

func TestSQLitePlaces(t *testing.T) {
	file, _ := database(t, "PRAGMA page_size = 1024", "CREATE TABLE t (a TEXT, b TEXT)", "INSERT INTO t VALUES ('"+long()+"', 'the end')")
	b := NewBudget(len(file))
	Walk("sqlite", file, &b, func(m Member) {
		for _, word := range []string{"the end", long()[:10], long()[5000:5010]} {
			if i := bytes.Index(m.Data, []byte(word)); m.Path == "sqlite:t" && (i < 0 || len(word) == 0) {
				t.Errorf("%q is not there", word)
			} else if m.Path == "sqlite:t" {
				if from, to := m.Place(i, i+len(word)); string(file[from:to]) != word {
					t.Errorf("%q is placed at %q", word, file[from:to])
				}
			}
		}
	}, func(string) {})
}

func TestSQLiteSaysWhatIsWrong(t *testing.T) {
	file, _ := database(t, "PRAGMA page_size = 1024", "CREATE TABLE t (a TEXT, b TEXT)", "INSERT INTO t VALUES ('"+long()+"', 'the end')")
	circle := bytes.Clone(file)
	binary.BigEndian.PutUint32(circle[1024*2:], 3) // the first page that the row goes on at leads to itself
	size := bytes.Clone(file)
	size[16], size[17] = 3, 3
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"cut off":  {file[:5*1024], "pages are missing"},
		"circle":   {circle, sqlBadOverflow},
		"bad size": {size, "its pages have 771 bytes"},
		"short":    {file[:50], "it is cut off"},
	} {
		if _, skipped := gather(t, tt.data); !strings.Contains(strings.Join(skipped, "\n"), tt.want) {
			t.Errorf("%s: skipped %q, want %q", name, skipped, tt.want)
		}
	}
}

// TestSQLiteEnds reads files whose trees lead in circles and whose cells are all the same bytes.
func TestSQLiteEnds(t *testing.T) {
	file, _ := database(t, "PRAGMA page_size = 65536", "CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES ('"+strings.Repeat("x", 60_000)+"')")
	same := bytes.Clone(file)
	at := binary.BigEndian.Uint16(same[65536+8:])
	binary.BigEndian.PutUint16(same[65536+3:], 2000)
	for i := range 2000 {
		binary.BigEndian.PutUint16(same[65536+8+2*i:], at)
	}
	circle := bytes.Clone(file)
	circle[100] = sqlTable
	for i := range 1000 {
		binary.BigEndian.PutUint32(circle[104+4*i:], uint32(1+i%2))
	}
	blocks := bytes.Clone(file)
	for i := 1; i < 16_000; i++ { // free blocks, one in the other
		binary.BigEndian.PutUint16(blocks[65536+4*i:], uint16(4*i+4))
		binary.BigEndian.PutUint16(blocks[65536+4*i+2:], 65535)
	}
	binary.BigEndian.PutUint16(blocks[65536+1:], 16)
	for _, data := range [][]byte{same, circle, blocks} {
		b := Budget{Bytes: 8 << 20, Members: 1000}
		total := 0
		Walk("sqlite", data, &b, func(m Member) { total += len(m.Data) }, func(string) {})
		if total > 16<<20 {
			t.Errorf("%d bytes came out", total)
		}
	}
}

func FuzzSQLite(f *testing.F) {
	file, log := database(f, "PRAGMA journal_mode = wal", "PRAGMA page_size = 512", "CREATE TABLE t (a TEXT, b BLOB)", "INSERT INTO t VALUES ('"+long()[:1000]+"', x'00112233')")
	f.Add(file, false)
	f.Add(log, true)
	utf16, _ := database(f, "PRAGMA page_size = 512", "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (a TEXT PRIMARY KEY) WITHOUT ROWID", "INSERT INTO t VALUES ('"+long()[:1000]+"')")
	f.Add(utf16, false)
	f.Fuzz(func(t *testing.T, data []byte, isLog bool) {
		if isLog {
			checkWalk(t, "sqlite-wal", data)
		} else {
			checkWalk(t, "sqlite", data)
		}
	})
}
