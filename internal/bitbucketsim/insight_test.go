package bitbucketsim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// insights makes calls below the reports of a commit.
func (b *bench) insights(token, method, path, body string) answer {
	b.Helper()
	return b.ask(token, method, "/rest/insights/1.0"+rocket+"/commits/"+path, body)
}

func TestReports(t *testing.T) {
	b := start(t, Options{})
	commit := b.commit("", "f", "x").Commits[0]
	must(b.CreateUser(User{Name: "dev"}))
	must(0, b.GrantRepo("dev", b.repo.ID, "REPO_READ"))
	dev := b.newToken("dev", "REPO_READ").Text
	at := commit + "/reports/magpie"
	if a := b.insights(dev, "PUT", at, `{"title":"Secrets","data":[],"result":"FAIL","createdDate":5}`); a.status != 200 || a.json["key"] != "magpie" || a.json["createdDate"] != 5.0 {
		t.Fatalf("PUT = %d %s, want the report", a.status, a.body)
	}
	for _, tc := range []struct {
		name, token, method, path, body string
		status                          int
	}{
		{"replaced by its creator", dev, "PUT", at, `{"title":"Again","data":[]}`, 200},
		{"replaced by an administrator", b.token.Text, "PUT", at, `{"title":"Mine","data":[]}`, 401},
		{"anonymous", "", "PUT", at, `{"title":"Mine","data":[]}`, 401},
		{"short commit", dev, "PUT", commit[:12] + "/reports/magpie", `{"title":"x","data":[]}`, 404},
		{"unknown commit", dev, "PUT", strings.Repeat("1", 40) + "/reports/magpie", `{"title":"x","data":[]}`, 404},
		{"no title", dev, "PUT", at, `{"data":[]}`, 400},
		{"no data", dev, "PUT", at, `{"title":"x"}`, 400},
		{"seven data fields", dev, "PUT", at, `{"title":"x","data":[` + strings.Repeat(`{"title":"n","type":"NUMBER","value":1},`, 6) + `{"title":"n","value":1}]}`, 400},
		{"odd data", dev, "PUT", at, `{"title":"x","data":[{"title":"n","type":"ODD","value":1}]}`, 400},
		{"odd result", dev, "PUT", at, `{"title":"x","data":[],"result":"MAYBE"}`, 400},
		{"long title", dev, "PUT", at, `{"title":"` + strings.Repeat("x", 451) + `","data":[]}`, 400},
		{"long details", dev, "PUT", at, `{"title":"x","data":[],"details":"` + strings.Repeat("x", 2001) + `"}`, 400},
		{"relative link", dev, "PUT", at, `{"title":"x","data":[],"link":"/here"}`, 400},
		{"read", dev, "GET", at, "", 200},
		{"read what is not there", dev, "GET", commit + "/reports/none", "", 404},
		{"all of a commit", dev, "GET", commit + "/reports", "", 200},
		{"no annotations yet", dev, "POST", at + "/annotations", `{"annotations":[]}`, 400},
		{"annotation without message", dev, "POST", at + "/annotations", `{"annotations":[{"severity":"LOW"}]}`, 400},
		{"annotation without severity", dev, "POST", at + "/annotations", `{"annotations":[{"message":"m"}]}`, 400},
		{"annotation on a negative line", dev, "POST", at + "/annotations", `{"annotations":[{"message":"m","severity":"LOW","line":-1}]}`, 400},
		{"annotation of an odd type", dev, "POST", at + "/annotations", `{"annotations":[{"message":"m","severity":"LOW","type":"ODD"}]}`, 400},
		{"annotation with a long message", dev, "POST", at + "/annotations", `{"annotations":[{"message":"` + strings.Repeat("x", 2001) + `","severity":"LOW"}]}`, 400},
		{"annotation by another", b.token.Text, "POST", at + "/annotations", `{"annotations":[{"message":"m","severity":"LOW"}]}`, 401},
		{"annotation without a report", dev, "POST", commit + "/reports/none/annotations", `{"annotations":[{"message":"m","severity":"LOW"}]}`, 404},
		{"deleted by an administrator", b.token.Text, "DELETE", at, "", 204},
		{"deleted already", dev, "DELETE", at, "", 404},
	} {
		if a := b.insights(tc.token, tc.method, tc.path, tc.body); a.status != tc.status {
			t.Errorf("%s = %d %s, want %d", tc.name, a.status, a.body, tc.status)
		}
	}
}

func TestAnnotations(t *testing.T) {
	b := start(t, Options{})
	commit := b.commit("", "f", "x").Commits[0]
	at := commit + "/reports/magpie"
	b.insights(b.token.Text, "PUT", at, `{"title":"Secrets","data":[]}`)
	count := func(query string) int {
		a := b.insights(b.token.Text, "GET", at+"/annotations"+query, "")
		return len(a.json["annotations"].([]any))
	}
	post := func(n int) int {
		var list []map[string]any
		for i := range n {
			list = append(list, map[string]any{"path": "f", "line": 1, "message": "found", "severity": "HIGH", "type": "VULNERABILITY", "externalId": fmt.Sprintf("f-%d", i)})
		}
		body := must(json.Marshal(map[string]any{"annotations": list}))
		return b.insights(b.token.Text, "POST", at+"/annotations", string(body)).status
	}
	if got := post(600); got != 204 {
		t.Fatalf("600 annotations = %d, want 204", got)
	}
	if got := post(401); got != 400 || count("") != 600 {
		t.Errorf("401 more = %d with %d kept, want 400 and all of the request refused", got, count(""))
	}
	if got := post(400); got != 204 || count("") != 1000 || count("?externalId=f-7") != 2 {
		t.Errorf("400 more = %d, %d and %d of one id, want 204, 1000 and 2: nothing removes doubles", got, count(""), count("?externalId=f-7"))
	}
	if a := b.insights(b.token.Text, "PUT", at+"/annotations/new", `{"message":"m","severity":"LOW"}`); a.status != 400 {
		t.Errorf("one above the limit = %d, want 400", a.status)
	}
	if a := b.insights(b.token.Text, "DELETE", at+"/annotations?externalId=f-7&externalId=f-8", ""); a.status != 204 || count("") != 996 {
		t.Errorf("DELETE by id = %d, %d left, want 204 and 996", a.status, count(""))
	}
	for range 2 {
		if a := b.insights(b.token.Text, "PUT", at+"/annotations/f-7", `{"path":"g","line":0,"message":"m","severity":"LOW"}`); a.status != 204 || count("?path=g") != 1 {
			t.Errorf("PUT = %d, %d of it, want 204 and one", a.status, count("?path=g"))
		}
	}
	if a := b.insights(b.token.Text, "GET", commit+"/annotations?key=magpie&severity=LOW", ""); len(a.json["annotations"].([]any)) != 1 {
		t.Errorf("annotations of the commit = %s, want one of low severity", a.body)
	}
	if all := b.Reports(b.repo.ID); len(all) != 1 || len(all[0].Annotations) != 997 || all[0].Creator != "admin" {
		t.Errorf("Reports = %d, want one with 997 annotations", len(all))
	}
	if a := b.insights(b.token.Text, "DELETE", at+"/annotations", ""); a.status != 204 || count("") != 0 {
		t.Errorf("DELETE of all = %d, %d left", a.status, count(""))
	}
}

func TestInsightsCameWith515(t *testing.T) {
	for version, status := range map[string]int{"5.14.0": 404, "5.15.0": 200} {
		b := start(t, Options{Version: version})
		commit := b.commit("", "f", "x").Commits[0]
		if a := b.insights(b.token.Text, "PUT", commit+"/reports/magpie", `{"title":"x","data":[]}`); a.status != status {
			t.Errorf("%s: PUT = %d, want %d", version, a.status, status)
		}
	}
}
