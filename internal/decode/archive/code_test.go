package archive

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// compiledPython returns what the given Python makes of a source.
func compiledPython(t testing.TB, python, source string) []byte {
	t.Helper()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "m.py"), filepath.Join(dir, "m.pyc")
	if err := os.WriteFile(from, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, nil, python, "-c", "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[2])", from, to)
	return read(t, to)
}

const pythonSource = `import os
PASSWORD = "first value"
class Client:
    def __init__(self):
        self.token = "second value"
        local = "third value"
connect(host="somewhere", password="fourth value")
settings = {"user": "me", "secret": "fifth value"}
os.environ["KEY"] = "sixth value"
numbers = [1.5, 10**30, -7, None, True, 2j, {"a": {"b": ("c", b"bytes")}}]
`

// pythons are the interpreters that are tried: the usual one, and all versions where pyenv keeps several.
func pythons() []string {
	all := []string{"python3"}
	if home, err := os.UserHomeDir(); err == nil {
		more, _ := filepath.Glob(filepath.Join(home, ".pyenv/versions/*/bin/python"))
		all = append(all, more...)
	}
	return all
}

func TestPython(t *testing.T) {
	for _, python := range pythons() {
		t.Run(python, func(t *testing.T) {
			members, skipped := gather(t, compiledPython(t, python, pythonSource))
			for _, want := range []string{
				`PASSWORD = "first value"`, `token = "second value"`, `local = "third value"`, `password = "fourth value"`, `secret = "fifth value"`, `KEY = "sixth value"`, "bytes\n",
			} {
				if !strings.Contains(members["pyc"], want) {
					t.Errorf("%s is not in %q", want, members["pyc"])
				}
			}
			if len(skipped) > 0 {
				t.Errorf("skipped %q", skipped)
			}
		})
	}
}

const javaSource = `import java.util.*;
public class A {
    static final String PASSWORD = "first value";
    static String second = "second value";
    String token;
    A() { this.token = "third \u00fc value"; }
    void run(Map<String, String> m, Properties p) {
        long n = 1L << 40; double d = 1.5;
        p.setProperty("api.key", "fourth value");
        m.put("name", "fifth value");
        System.setProperty("password", "sixth value");
    }
}
`

// compiledJava returns what javac makes of a source of the class A.
func compiledJava(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "A.java"), []byte(javaSource), 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, nil, "javac", "-encoding", "UTF-8", "-d", dir, filepath.Join(dir, "A.java"))
	return read(t, filepath.Join(dir, "A.class"))
}

func TestJava(t *testing.T) {
	data := compiledJava(t)
	members, skipped := gather(t, data)
	for _, want := range []string{
		`PASSWORD = "first value"`, `second = "second value"`, `token = "third ü value"`, `setProperty("api.key", "fourth value")`,
		`put("name", "fifth value")`, `setProperty("password", "sixth value")`, "\nsixth value\n",
	} {
		if !strings.Contains(members["class"], want) {
			t.Errorf("%s is not in %q", want, members["class"])
		}
	}
	if len(skipped) > 0 {
		t.Errorf("skipped %q", skipped)
	}
	b := NewBudget(len(data))
	Walk("class", data, &b, func(m Member) {
		i := bytes.Index(m.Data, []byte("fifth value"))
		if from, to := m.Place(i, i+11); string(data[from:to]) != "fifth value" {
			t.Errorf("placed at %q", data[from:to])
		}
	}, func(string) {})
	if _, skipped := gather(t, data[:len(data)/2]); len(skipped) != 1 {
		t.Errorf("of one that is cut off was skipped %q", skipped)
	}
}

func TestPropertyList(t *testing.T) {
	script := `import plistlib, sys
sys.stdout.buffer.write(plistlib.dumps({"API Key": "first value", "Nested": {"Pass": "second ü value", "Data": b"third value", "n": 7}, "List": ["fourth value", True, 1.5] + list(range(300))}, fmt=plistlib.FMT_BINARY))`
	data := tool(t, nil, "python3", "-c", script)
	members, skipped := gather(t, data)
	for _, want := range []string{`"API Key": "first value"`, `"Pass": "second ü value"`, `"Data": "third value"`, "\nfourth value\n"} {
		if !strings.Contains(members["plist"], want) {
			t.Errorf("%s is not in %q", want, members["plist"])
		}
	}
	if len(skipped) > 0 || strings.Count(members["plist"], "first value") != 1 {
		t.Errorf("%q, skipped %q", members["plist"], skipped)
	}
	if _, skipped := gather(t, data[:len(data)-9]); len(skipped) != 1 {
		t.Errorf("of one that is cut off was skipped %q", skipped)
	}
}

func FuzzCode(f *testing.F) {
	kinds := []string{"pyc", "class", "plist", "pcap"}
	f.Add(compiledPython(f, "python3", pythonSource), 0)
	f.Add(compiledJava(f), 1)
	f.Add(tool(f, nil, "python3", "-c", `import plistlib, sys; sys.stdout.buffer.write(plistlib.dumps({"a": {"b": "c", "d": "ü"}, "e": [b"f", 1]}, fmt=plistlib.FMT_BINARY))`), 2)
	for _, data := range captures() {
		f.Add(data, 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, kind int) {
		name := kinds[uint(kind)%uint(len(kinds))]
		if name == "pyc" && pycHeader(data) == 0 || name == "class" && (len(data) < classHead || !isClass(data)) {
			return
		}
		checkWalk(t, name, data)
	})
}
