package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"magpie"
	"magpie/internal/store"
)

// screenshotsEnv names the directory into which the browser tests put pictures of the pages; unset means none.
const screenshotsEnv = "MAGPIE_SCREENSHOTS"

// tab is a page in a headless Chromium. Whatever the browser complains about is kept: a policy violation, an uncaught
// error, a line on the console.
type tab struct {
	*world
	browser context.Context

	mu         sync.Mutex
	complaints []string
}

// chromium finds the browser, or skips the test and says how to have one.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome-headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium is installed; `make test` installs one")
	return ""
}

// reportViolations runs before each page's own scripts.
const reportViolations = `document.addEventListener('securitypolicyviolation', (e) =>
	console.error('CSP violation: ' + e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample + ' at ' + e.sourceFile + ':' + e.lineNumber));`

func (w *world) tab() *tab {
	w.Helper()
	allocator, stop := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(chromium(w.TB)), chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(w.TempDir()), chromedp.WindowSize(1360, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	w.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	w.Cleanup(cancel)
	b := &tab{world: w, browser: ctx}
	b.do()
	console := chromedp.Console(ctx)
	go func() {
		for message, err := range console {
			if err != nil {
				return
			}
			b.mu.Lock()
			if message.Type != chromedp.ConsoleInfo && message.Type != chromedp.ConsoleDebug {
				b.complaints = append(b.complaints, message.String())
			}
			b.mu.Unlock()
		}
	}()
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: reportViolations}); err != nil {
		w.Fatal(err)
	}
	return b
}

// silent asserts that the browser complained about nothing since the last time.
func (b *tab) silent() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.Errorf("the browser says %s", c)
	}
	b.complaints = nil
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.browser, steps...); err != nil {
		b.Fatalf("in the browser: %v\n%s", err, strings.Join(b.complaints, "\n"))
	}
}

func (b *tab) open(path string) {
	b.Helper()
	b.do(chromedp.Navigate(b.server.URL + path))
	b.waitFor(`document.readyState === 'complete'`)
}

// evaluate returns the value of an expression as JSON.
func (b *tab) evaluate(expression string) string {
	b.Helper()
	text, err := chromedp.Run(b.browser, chromedp.Evaluate[string](`String(JSON.stringify(`+expression+`))`))
	if err != nil {
		b.Fatalf("evaluating %s: %v", expression, err)
	}
	return text
}

// waitFor polls an expression until it holds.
func (b *tab) waitFor(expression string) {
	b.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		// While a page is being left, evaluating in it fails.
		if ok, err := chromedp.Run(b.browser, chromedp.Evaluate[bool](`!!(`+expression+`)`)); err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("in vain waited for %s at %s: %.3000s", expression, b.evaluate(`location.href`), b.evaluate(`document.body.innerText`))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// waitText waits until the page shows a text.
func (b *tab) waitText(text string) {
	b.Helper()
	quoted, _ := json.Marshal(text)
	b.waitFor(`document.body && document.body.innerText.includes(` + string(quoted) + `)`)
}

// press types keys into whatever has the focus.
func (b *tab) press(keys string) {
	b.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// signIn signs in with nothing but the keyboard.
func (b *tab) signIn(u magpie.User) {
	b.Helper()
	b.open("/login")
	b.waitFor(`document.activeElement.id === 'email'`)
	b.press(u.Email + kb.Tab + password + kb.Enter)
	b.waitFor(`document.querySelector('.side-foot')`)
}

// shoot puts a picture of the whole page into the directory that the environment names.
func (b *tab) shoot(name string, width, height int64, dark bool) {
	b.Helper()
	dir := os.Getenv(screenshotsEnv)
	if dir == "" {
		return
	}
	b.colours(dark)
	b.do(chromedp.EmulateViewport(width, height))
	picture, err := chromedp.Run(b.browser, chromedp.FullScreenshot(100))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		b.Fatal(err)
	}
}

// noOverflow asserts that nothing sticks out of the page at a width.
func (b *tab) noOverflow(width int64) {
	b.Helper()
	b.do(chromedp.EmulateViewport(width, 800))
	if got := b.evaluate(`document.documentElement.scrollWidth <= innerWidth`); got != "true" {
		b.Errorf("%s is %s wide at a width of %d; the widest: %s", b.evaluate(`location.pathname`), b.evaluate(`document.documentElement.scrollWidth`), width,
			b.evaluate(`[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map(e => e.tagName + '.' + e.className).join(' ')`))
	}
}

// inView asserts that nothing that a selector chooses is cut off by the box that its table scrolls in.
func (b *tab) inView(selector string) {
	b.Helper()
	quoted, _ := json.Marshal(selector)
	cut := `[...document.querySelectorAll(` + string(quoted) + `)].filter(e => e.getBoundingClientRect().right > e.closest('.table-wrap').getBoundingClientRect().right).length`
	if got := b.evaluate(cut); got != "0" {
		b.Errorf("%s: %s of %q are out of view; the table is %s wide in %s", b.evaluate(`location.pathname`), got, selector,
			b.evaluate(`document.querySelector('.table-wrap').scrollWidth`), b.evaluate(`document.querySelector('.table-wrap').clientWidth`))
	}
}

// lowContrast lists the texts of a page whose colour is too near to that of their ground for WCAG 2.2 AA (4.5 to 1).
const lowContrast = `(() => {
	const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
	const rgba = (color) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		return canvas.getImageData(0, 0, 1, 1).data;
	};
	const luminance = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const ground = (e) => {
		for (; e; e = e.parentElement) {
			const color = rgba(getComputedStyle(e).backgroundColor);
			if (color[3] === 255) return color;
		}
		return rgba('white');
	};
	const bad = [];
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walker.nextNode()) {
		const e = walker.currentNode.parentElement;
		if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest('.sr, .skip, option, [disabled]')) continue;
		const [a, b] = [luminance(rgba(getComputedStyle(e).color)), luminance(ground(e))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) bad.push(ratio.toFixed(2) + ' ' + e.tagName + '.' + e.className + ' ' + walker.currentNode.data.trim().slice(0, 30));
	}
	return bad;
})()`

// legible asserts that all text of the page stands out enough in the current colours.
func (b *tab) legible(where string) {
	b.Helper()
	if got := b.evaluate(lowContrast); got != "[]" {
		b.Errorf("%s has text that is hard to read: %s", where, got)
	}
}

// colours makes the browser prefer light or dark.
func (b *tab) colours(dark bool) {
	b.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	_, err := chromedp.Call(b.browser, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		b.Fatal(err)
	}
}

// TestStoryInABrowser is the life of an installation as its user meets it.
func TestStoryInABrowser(t *testing.T) {
	w := newWorld(t)
	b := w.tab()
	b.open("/")
	b.waitText("Create the Owner's account")
	b.shoot("setup", 1360, 860, false)
	b.press("Olive Owner" + kb.Tab + "owner@example.com" + kb.Tab + password + kb.Enter)
	b.waitText("Welcome to Magpie")
	b.shoot("overview-empty", 1360, 860, false)
	b.do(chromedp.Click(chromedp.CSS(`.side-foot form[action="/logout"] button`)))
	b.waitText("You are signed out")
	b.shoot("login", 1360, 860, false)
	users, err := w.access.Users(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.owner = users[0]
	b.signIn(w.owner)

	w.bitbucket()
	app := w.repo("APP", "service", nil)
	b.open("/incidents")
	b.waitText("No leaked secrets so far")
	b.evaluate(`document.documentElement.dataset.same = 'yes'`)
	w.found(app, magpie.ScanPush, finding(1, "config/app.yaml"))
	b.waitText("config/app.yaml")
	if got := b.evaluate(`document.documentElement.dataset.same`); got != `"yes"` {
		t.Error("the new incident came with a reload")
	}
	if got := b.evaluate(`document.getElementById('nav-count').innerText`); got != `"1"` {
		t.Errorf("the navigation counts %s open incidents, want 1", got)
	}
	b.do(chromedp.Click(chromedp.CSS(`#incident-1 a`)))
	b.waitText("How to revoke it")

	// A live update steals neither the focus nor an open disclosure.
	b.do(chromedp.Click(chromedp.CSS(`#resolve summary`)), chromedp.Focus(chromedp.CSS(`#resolve input`)))
	w.found(app, magpie.ScanPush, finding(1, "config/second.yaml"))
	b.waitText("config/second.yaml")
	if got := b.evaluate(`document.activeElement.name + ' ' + document.getElementById('resolve').open`); got != `"revoked true"` {
		t.Errorf("after a live update the focus and the disclosure are %s", got)
	}

	b.do(chromedp.Click(chromedp.CSS(`#reveal`)))
	b.waitText(string(secret(1).Reveal()))
	b.waitText("Secret revealed") // the timeline, live
	if got := b.evaluate(`document.getElementById('secret-value').textContent`); got != fmt.Sprintf("%q", secret(1).Reveal()) {
		t.Errorf("a live update took the value away and left %s", got)
	}
	b.shoot("incident-revealed", 1360, 860, false)
	b.do(chromedp.Click(chromedp.CSS(`#resolve input[value=yes]`)), chromedp.Click(chromedp.CSS(`#resolve button`)))
	b.waitText("The secret was revoked")
	b.silent()
}

// TestFiltersInABrowser chooses filters by keyboard and watches the list follow.
func TestFiltersInABrowser(t *testing.T) {
	w := newWorld(t).people().bitbucket()
	app := w.repo("APP", "service", nil)
	w.found(app, magpie.ScanPush, finding(1, "config/app.yaml"), finding(2, "deploy/key.env"))
	b := w.tab()
	b.signIn(w.member)
	b.open("/incidents")
	b.waitText("deploy/key.env")
	b.press("/")
	b.waitFor(`document.activeElement.id === 'q'`)
	b.evaluate(`document.getElementById('q').value = ''`) // the protocol types the key even where the page prevents it
	b.press("deploy")
	b.waitFor(`!document.body.innerText.includes('config/app.yaml')`)
	b.waitFor(`location.search.includes('q=deploy')`)
	if got := b.evaluate(`document.activeElement.id`); got != `"q"` {
		t.Errorf("typing lost the focus to %s", got)
	}
	w.found(app, magpie.ScanPush, finding(3, "deploy/late.env"))
	b.waitText("deploy/late.env")
	if got := b.evaluate(`document.body.innerText.includes('config/app.yaml')`); got != "false" {
		t.Error("a live update forgot the filter")
	}
	b.silent()

	w.server.CloseClientConnections()
	w.server.Close()
	b.waitText("Connection lost")
}

// TestTreeInABrowser opens and closes the tree by keyboard alone, deselects a project with it, and walks from the coverage
// of all to that of one repository.
func TestTreeInABrowser(t *testing.T) {
	w := newWorld(t).people().bitbucket()
	w.tree()
	ops := w.projects["OPS"].ID
	repo := w.repos["APP/app-00"]
	w.refs(repo, map[string]time.Time{"refs/heads/main": time.Now(), "refs/heads/dev": {}})
	b := w.tab()
	b.signIn(w.manager)
	b.open("/perimeter")
	b.waitText("Project OPS")
	toggle := "toggle-" + string(ops)
	b.evaluate(`document.documentElement.dataset.same = 'yes'`)
	b.evaluate(`document.getElementById('` + toggle + `').focus()`)
	b.press(kb.Enter)
	b.waitText("ops-59")
	b.waitFor(`document.activeElement.id === '` + toggle + `' && document.activeElement.getAttribute('aria-expanded') === 'true'`)
	b.waitFor(`location.search.includes('open=')`)
	if got := b.evaluate(`getComputedStyle(document.activeElement).outlineStyle`); got != `"solid"` {
		t.Errorf("what has the focus is outlined %s", got)
	}
	// The next stops are the settings of the project and its first repository.
	b.press(kb.Tab)
	if got := b.evaluate(`document.activeElement.innerText.trim()`); got != `"Settings of Project OPS"` {
		t.Errorf("after the project comes %s", got)
	}
	b.press(kb.Enter)
	b.waitFor(`document.activeElement.parentElement.open`)
	b.press(kb.Tab)
	if got := b.evaluate(`document.activeElement.name`); got != `"auto_monitor"` {
		t.Errorf("in the settings comes %s first", got)
	}
	// A change elsewhere arrives, and what is open stays so.
	w.write(func(tx *store.Tx) error {
		_, err := tx.SetRepoHook(w.ctx, w.repos["OPS/ops-05"].ID, true, magpie.HookFailed, "it broke just now")
		return err
	})
	b.waitText("It broke just now")
	b.do(chromedp.EmulateViewport(1280, 900))
	if got := b.evaluate(`[...document.querySelectorAll('.table-wrap')].every(e => e.scrollWidth <= e.clientWidth)`); got != "true" {
		t.Errorf("the tree sticks out of its card at a width of 1280")
	}
	if got := b.evaluate(`document.querySelector('tr.settings details').open + ' ' + document.documentElement.dataset.same`); got != `"true yes"` {
		t.Errorf("after a live update the settings are open and the page the same: %s", got)
	}
	b.evaluate(`document.getElementById('` + toggle + `').focus()`)
	b.press(kb.Enter)
	b.waitFor(`!document.body.innerText.includes('ops-59')`)

	// Deselect a whole project: its box, then the button, both by keyboard.
	b.evaluate(`document.querySelector('#project-` + string(ops) + ` input[name=project]').focus()`)
	b.press(" ")
	b.evaluate(`document.querySelector('#choose button[value=no]').focus()`)
	b.press(kb.Enter)
	b.waitText("scans that waited are dropped")
	b.waitText("0 of 60 monitored")

	b.open("/coverage")
	b.waitText("APP/app-00")
	if got := b.evaluate(`document.querySelector('.page-actions a[href^="/coverage.csv"]').innerText.trim()`); got != `"Download as CSV"` {
		t.Errorf("the link to the CSV reads %s", got)
	}
	if got := b.evaluate(`document.body.innerText.includes('ops-00')`); got != "false" {
		t.Error("a deselected repository is in the coverage")
	}
	b.do(chromedp.Focus(chromedp.CSS(`#repo-` + string(repo.ID) + ` a`)))
	b.press(kb.Enter)
	b.waitText("History scan to come")
	b.waitText("abababababab")
	b.noOverflow(400)
	b.silent()
}

// TestInjectedMarkupIsDead plants markup in the page as a hole in the escaping would, and nothing of it runs.
func TestInjectedMarkupIsDead(t *testing.T) {
	w := newWorld(t).people()
	b := w.tab()
	b.signIn(w.member)
	b.silent()
	// What a parser would build out of "<img onerror=…><script>…</script><button hx-get=…>", as far as the policy lets a
	// script build it: the two that could run are refused as they are made.
	b.evaluate(`(() => {
		window.refused = 0;
		const plant = (name, build) => {
			const element = document.createElement(name);
			try { build(element); } catch { window.refused++; }
			document.getElementById('main').append(element);
			return element;
		};
		plant('img', (e) => { e.src = 'data:,x'; e.setAttribute('onerror', 'window.hit = 1'); });
		plant('script', (e) => { e.text = 'window.hit = 2'; });
		try { document.getElementById('main').insertAdjacentHTML('beforeend', '<p>x</p>'); } catch { window.refused++; }
		const button = plant('button', (e) => {
			e.id = 'planted';
			e.setAttribute('hx-get', '/settings/tokens');
			e.setAttribute('hx-trigger', 'load');
			e.setAttribute('hx-target', 'body');
		});
		htmx.process(button);
	})()`)
	b.waitFor(`!document.getElementById('planted').hasAttribute('hx-get')`)
	if got := b.evaluate(`window.hit === undefined && window.refused === 3`); got != "true" {
		t.Errorf("planted markup ran: hit %s, refused %s of 3", b.evaluate(`window.hit`), b.evaluate(`window.refused`))
	}
}

// TestPagesInABrowser looks at every page in both colours and on a phone.
func TestPagesInABrowser(t *testing.T) {
	w := newWorld(t).people().bitbucket()
	w.furnish()
	b := w.tab()
	b.signIn(w.owner)
	b.silent()
	for _, p := range []struct{ name, path string }{
		{"overview", "/"},
		{"incidents", "/incidents"},
		{"incident", "/incidents/3"},
		{"perimeter", "/perimeter"},
		{"perimeter-list", "/perimeter?state=trouble"},
		{"coverage", "/coverage"},
		{"coverage-repo", "/coverage/" + string(w.repos["APP/checkout-service"].ID)},
		{"scans", "/scans"},
		{"settings", "/settings"},
		{"integrations", "/settings/integrations"},
		{"bitbucket", "/settings/integrations/bitbucket"},
		{"connect", "/settings/integrations/bitbucket/new?mode=instance"},
		{"members", "/settings/members"},
		{"tokens", "/settings/tokens"},
		{"audit", "/settings/audit"},
		{"account", "/account"},
		{"not-found", "/nowhere"},
	} {
		b.colours(true)
		b.open(p.path)
		b.legible(p.path + " in the dark")
		b.colours(false)
		b.legible(p.path)
		b.noOverflow(1360)
		b.noOverflow(1280)
		b.inView("td.right form")
		b.noOverflow(400)
		b.noOverflow(320)
		b.shoot(p.name, 1360, 860, false)
		b.shoot(p.name+"-dark", 1360, 860, true)
		b.shoot(p.name+"-400", 400, 800, false)
	}
	b.mu.Lock()
	b.complaints = dropComplaints(b.complaints, "404") // the browser's own line about the last page
	b.mu.Unlock()
	b.silent()
}

func dropComplaints(all []string, with string) (kept []string) {
	for _, c := range all {
		if !strings.Contains(c, with) {
			kept = append(kept, c)
		}
	}
	return kept
}

// furnish fills the installation as a few weeks would.
func (w *world) furnish() {
	w.Helper()
	service := w.repo("APP", "checkout-service", nil)
	mobile := w.repo("APP", "mobile-client", func(r *magpie.Repo) { r.History = magpie.HistoryPending })
	docs := w.repo("APP", "handbook", func(r *magpie.Repo) { r.State, r.StateReason = magpie.RepoArchived, "" })
	infra := w.repo("OPS", "infrastructure", nil)
	broken := w.repo("OPS", "legacy-deploy", func(r *magpie.Repo) {
		r.Hook, r.HookReason = magpie.HookFailed, "the token may not administer this repository; give its owner Admin on repositories"
	})
	w.repo("OPS", "terraform-modules", func(r *magpie.Repo) {
		r.Hook, r.History, r.LastScanAt, r.LastPushAt = magpie.HookPending, magpie.HistoryPending, time.Time{}, time.Time{}
	})
	home := w.repo("~mia", "dotfiles", func(r *magpie.Repo) {
		r.Monitored, r.Hook, r.History, r.LastScanAt = false, magpie.HookNone, magpie.HistoryNone, time.Time{}
	})
	kinds := []struct {
		name, vendor, file string
		severity           magpie.Severity
		confidence         magpie.Confidence
	}{
		{"AWS access key", "AWS", "deploy/terraform/prod.tfvars", magpie.SeverityCritical, magpie.ConfidenceProven},
		{"GitHub personal access token", "GitHub", ".github/release.sh", magpie.SeverityCritical, magpie.ConfidenceProven},
		{"Slack incoming webhook", "Slack", "notify/config.py", magpie.SeverityMedium, magpie.ConfidenceHigh},
		{"PostgreSQL URL with a password", "PostgreSQL", "services/checkout/internal/config/defaults_for_local_development.yaml", magpie.SeverityHigh, magpie.ConfidenceMedium},
		{"RSA private key", "", "certs/server.key", magpie.SeverityHigh, magpie.ConfidenceProven},
		{"Generic password", "", "test/fixtures/users.json", magpie.SeverityLow, magpie.ConfidenceLow},
		{"JSON Web Token", "", "docs/example.http", magpie.SeverityInfo, magpie.ConfidenceHigh},
	}
	repos := []magpie.Repo{service, infra, docs, broken, home}
	for n := range 14 {
		k := kinds[n%len(kinds)]
		f := finding(n, k.file)
		f.RuleName, f.Provider, f.Severity, f.Confidence = k.name, k.vendor, k.severity, k.confidence
		kind := magpie.ScanPush
		if n%3 == 0 {
			kind = magpie.ScanHistory
		}
		w.found(repos[n%len(repos)], kind, f)
	}
	for n := range 3 {
		f := finding(2, fmt.Sprintf("notify/%d.py", n))
		f.RuleName, f.Provider, f.Severity = "Slack incoming webhook", "Slack", magpie.SeverityMedium
		w.found(service, magpie.ScanPush, f)
	}
	w.handle()
	w.scan(mobile, magpie.ScanHistory, magpie.ScanRunning, magpie.Progress{
		Phase: magpie.PhaseReceiving, Left: 11 * time.Minute, BytesReceived: 912_400_000, Objects: 140_312, ObjectsTotal: 1_288_410,
	})
	w.scan(infra, magpie.ScanHistory, magpie.ScanCanceled, magpie.Progress{BytesReceived: 5_000_000, Objects: 100, ObjectsTotal: 9_000})
	w.scan(service, magpie.ScanHistory, magpie.ScanFailed, magpie.Progress{BytesReceived: 5_000_000, Objects: 100, ObjectsTotal: 9_000})
	w.scan(service, magpie.ScanHistory, magpie.ScanRunning, magpie.Progress{Phase: magpie.PhaseScanning, Left: 47 * time.Second, BytesReceived: 48_300_000, Objects: 31_204, ObjectsTotal: 88_410, Blobs: 12_000, BlobBytes: 612_000_000, Findings: 5})
	w.scan(infra, magpie.ScanHistory, magpie.ScanRunning, magpie.Progress{BytesReceived: 1_300_000})
	w.scan(broken, magpie.ScanHistory, magpie.ScanQueued, magpie.Progress{})
	w.scan(docs, magpie.ScanHistory, magpie.ScanFinished, magpie.Progress{BytesReceived: 9_800_000, Objects: 8_120, ObjectsTotal: 8_120, BlobBytes: 70_000_000, Findings: 2})
	w.scan(service, magpie.ScanPush, magpie.ScanFinished, magpie.Progress{BytesReceived: 1_204, Objects: 3, ObjectsTotal: 3, BlobBytes: 2_048, Findings: 1})
	w.scan(docs, magpie.ScanHistory, magpie.ScanCanceled, magpie.Progress{BytesReceived: 2_400_000, Objects: 100, ObjectsTotal: 8_120})
	w.scan(home, magpie.ScanHistory, magpie.ScanFailed, magpie.Progress{})
}

// handle does to some incidents what people do.
func (w *world) handle() {
	w.Helper()
	for number, act := range map[int64]func(magpie.IncidentID) error{
		3: func(id magpie.IncidentID) error { return w.incidents.Assign(w.ctx, w.owner, id, w.member.ID) },
		5: func(id magpie.IncidentID) error { return w.incidents.Resolve(w.ctx, w.member, id, true) },
		6: func(id magpie.IncidentID) error {
			return w.incidents.Ignore(w.ctx, w.member, id, magpie.IgnoreTestCredential)
		},
		8: func(id magpie.IncidentID) error { return w.incidents.Assign(w.ctx, w.owner, id, w.owner.ID) },
	} {
		if err := act(w.incidentID(number)); err != nil {
			w.Fatal(err)
		}
	}
}
