package console_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"paylink/internal/console"
)

// browser starts a real Chromium; a machine without one skips, by name. With
// PAYLINK_BROWSER_REQUIRED=1 it fails instead.
func browser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if path, _ = exec.LookPath(name); path != "" {
			break
		}
	}
	if path == "" {
		if os.Getenv("PAYLINK_BROWSER_REQUIRED") != "" {
			t.Fatal("no Chromium here")
		}
		t.Skip("SKIP: no Chromium here (Debian package chromium-headless-shell)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return ctx
}

// A changing is a console whose state changes.
type changing struct {
	url string

	mu    sync.Mutex
	state console.State
	lanes []console.Lane
}

func startChanging(t *testing.T, s console.State, lanes []console.Lane) *changing {
	c := &changing{state: s, lanes: lanes}
	server := httptest.NewServer(handler(t, console.Config{State: c.get, Lanes: func() []console.Lane { return c.lanes }}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *changing) get() console.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *changing) set(s console.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
}

// shoot keeps a picture of the whole page in the folder that PAYLINK_SCREENSHOTS
// names. Nothing compares it.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("PAYLINK_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "console-"+name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// eval asks the page.
func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return got
}

// A screen is a desk's, or a phone's, by day or by night.
type screen struct {
	name          string
	width, height int64
	scheme        string
}

var (
	deskByNight  = screen{"desk-dark", 1280, 900, "dark"}
	deskByDay    = screen{"desk-light", 1280, 900, "light"}
	phoneByNight = screen{"phone-dark", 360, 740, "dark"}
	phoneByDay   = screen{"phone-light", 360, 740, "light"}
)

// open opens a page on a screen.
func (s screen) open(t *testing.T, ctx context.Context, url string) {
	t.Helper()
	options := []chromedp.EmulateViewportOption{}
	if s.width < 600 {
		options = append(options, chromedp.EmulateMobile)
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.scheme}}}
	do(t, ctx, chromedp.EmulateViewport(s.width, s.height, options...), func(ctx context.Context, target *chromedp.Target) (none chromedp.Void, err error) {
		_, err = cdp.Call(ctx, target, emulation.SetEmulatedMedia, media)
		return none, err
	}, chromedp.Navigate(url))
}

func TestNoPageIsWiderThanItsScreen(t *testing.T) {
	ctx := browser(t)
	bad, lanes := allHeld()
	screens := []screen{deskByNight, phoneByDay}
	if os.Getenv("PAYLINK_SCREENSHOTS") != "" {
		screens = append(screens, deskByDay, phoneByNight)
	}
	for name, s := range map[string]console.State{"well": well(), "unwell": unwell(), "held": bad, "new": {Now: noon, Started: noon}} {
		c := startChanging(t, s, lanes)
		for _, p := range []struct{ name, path string }{{"", "/"}, {"-merchants", "/merchants?page=2"}, {"-partitions", "/partitions"}, {"-intent", "/intents?q=waits"}} {
			for _, on := range screens {
				on.open(t, ctx, c.url+p.path)
				if wide := eval[int64](t, ctx, `document.documentElement.scrollWidth`); wide > on.width {
					t.Errorf("%s%s on a %s is %d wide, the screen %d", name, p.name, on.name, wide, on.width)
				}
				shoot(t, ctx, name+p.name+"-"+on.name)
			}
		}
	}
}

// update has the page ask for itself, and waits until it shows a text.
func update(t *testing.T, ctx context.Context, until string) {
	t.Helper()
	do(t, ctx, void(chromedp.Evaluate[*bool](`document.dispatchEvent(new Event("visibilitychange")), null`)))
	shows(t, ctx, until)
}

// shows waits until the page shows a text.
func shows(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`document.body.innerText.includes(`+strconv.Quote(text)+`)`)); err != nil {
		t.Fatalf("the page does not come to show %q: %v", text, err)
	}
}

// void forgets what an action returns.
func void[T any](a chromedp.Action[T]) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (none chromedp.Void, err error) {
		_, err = a(ctx, target)
		return none, err
	}
}

// script is an action that runs JavaScript.
func script(code string) chromedp.Action[chromedp.Void] {
	return void(chromedp.Evaluate[*bool](`(() => {` + code + `})(), null`))
}

func TestFocusAndScrollingSurviveAnUpdate(t *testing.T) {
	ctx := browser(t)
	c := startChanging(t, well(), nil)
	phoneByNight.open(t, ctx, c.url)
	// A reader on a phone is at an outcome: focus on it, its table scrolled to the right,
	// a field half filled in, and a row of another table marked to be found again.
	do(t, ctx, script(`
		document.getElementById("q").value = "half typed";
		window.at = document.querySelector("#outcome-table tr:nth-child(5) a");
		at.focus();
		at.scrollIntoView({block: "center"});
		document.getElementById("outcome-table").scrollLeft = 90;
		window.row = document.querySelector("#group-table tbody tr:nth-child(2)");
	`))
	y := `Math.round(at.getBoundingClientRect().top)`
	was, text := eval[int](t, ctx, y), eval[string](t, ctx, `at.textContent`)

	next := unwell() // alarms above, rows before, other numbers
	next.Group.Members = append([]console.Member{{ID: "paylink-0000", Partitions: []int32{9}}}, next.Group.Members...)
	c.set(next)
	update(t, ctx, "2 things need a person")
	for what, want := range map[string]string{
		"the focus":                    `String(document.activeElement === at && at.isConnected)`,
		"the table's scrolling":        `String(document.getElementById("outcome-table").scrollLeft === 90)`,
		"what was typed":               `String(document.getElementById("q").value === "half typed")`,
		"the row":                      `String(row.isConnected && row.rowIndex === 3)`,
		"the title":                    `String(document.title.startsWith("✗ Alarm"))`,
		"the new row":                  `String(document.querySelector("#group-table tbody tr").textContent.includes("paylink-0000"))`,
		"new rows, before those there": `String(document.querySelectorAll("#outcome-table tbody tr").length === 14)`,
	} {
		if eval[string](t, ctx, want) != "true" {
			t.Errorf("after the update %s is not as it should be: %s", what, want)
		}
	}
	if got := eval[string](t, ctx, `at.textContent`); got != text {
		t.Errorf("the focus is on %q now, and was on %q", got, text)
	}
	if now := eval[int](t, ctx, y); now < 0 || now > 740 || was < 0 {
		t.Errorf("the focus was at %d of the screen and is at %d: out of sight", was, now)
	}
	c.set(well())
	update(t, ctx, "All well")
	if eval[bool](t, ctx, `document.querySelector(".alarm") !== null`) || !eval[bool](t, ctx, `document.activeElement === at`) {
		t.Error("the alarms stay, or the focus does not")
	}
}

func TestAnUpdateWithoutNewsChangesNothing(t *testing.T) {
	ctx := browser(t)
	c := startChanging(t, unwell(), nil)
	deskByDay.open(t, ctx, c.url)
	do(t, ctx, script(`
		window.changes = 0;
		new MutationObserver((all) => { changes += all.length; }).observe(document.getElementById("main"), {subtree: true, childList: true, attributes: true, characterData: true});
		const fetched = window.fetch;
		window.answers = 0;
		window.fetch = async (...a) => { const r = await fetched(...a); const text = await r.text(); setTimeout(() => answers++, 50); return new Response(text, r); };
	`), script(`document.dispatchEvent(new Event("visibilitychange"))`))
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`answers > 1`)); err != nil {
		t.Fatal(err)
	}
	if n := eval[int](t, ctx, `changes`); n != 0 {
		t.Errorf("%d changes of a page that has no news", n)
	}
}

func TestThePageSaysThatItIsOldAndCanBePaused(t *testing.T) {
	ctx := browser(t)
	c := startChanging(t, well(), nil)
	deskByDay.open(t, ctx, c.url)
	do(t, ctx, script(`window.real = window.fetch; window.fetch = async () => { throw new Error("away"); };`))
	update(t, ctx, "what you see is old")
	do(t, ctx, script(`window.fetch = window.real;`))
	c.set(unwell())
	update(t, ctx, "2 things need a person")
	if !eval[bool](t, ctx, `document.getElementById("lost").hidden`) {
		t.Error("it is said to be old, though it is new again")
	}
	do(t, ctx, chromedp.Focus(chromedp.CSS("#live")), chromedp.KeyEvent(" "))
	shows(t, ctx, "Go on")
	c.set(well())
	do(t, ctx, script(`window.asked = 0; window.fetch = async () => { asked++; };`), script(`document.dispatchEvent(new Event("visibilitychange"))`))
	if n := eval[int](t, ctx, `asked`); n != 0 || !eval[bool](t, ctx, `document.getElementById("live").getAttribute("aria-pressed") === "true"`) {
		t.Errorf("a page that is paused was asked for %d times", n)
	}
	do(t, ctx, script(`window.fetch = window.real;`), chromedp.KeyEvent(" "))
	update(t, ctx, "All well")
}

func TestThePageWorksByKeyboard(t *testing.T) {
	ctx := browser(t)
	c := startChanging(t, unwell(), nil)
	deskByNight.open(t, ctx, c.url)
	do(t, ctx, chromedp.KeyEvent(kb.Tab))
	if got := eval[string](t, ctx, `document.activeElement.textContent`); got != "To the content" {
		t.Errorf("the first stop is %q, want the way to the content", got)
	}
	do(t, ctx, chromedp.KeyEvent(kb.Enter))
	if got := eval[string](t, ctx, `document.activeElement.id`); got != "main" {
		t.Errorf("it leads to %q, want the content", got)
	}
	var stops []string
	for range 100 {
		if do(t, ctx, chromedp.KeyEvent(kb.Tab)); eval[bool](t, ctx, `document.activeElement === document.body`) {
			break
		}
		stops = append(stops, eval[string](t, ctx, `document.activeElement.id || document.activeElement.textContent`))
		if eval[string](t, ctx, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
			t.Errorf("it cannot be seen that the focus is on %q", stops[len(stops)-1])
		}
	}
	for _, want := range []string{"held 1", "lane-table", "partition-table", "outcome-table", "order-17"} {
		if !slices.Contains(stops, want) {
			t.Errorf("the keyboard does not come to %q, but to %q", want, stops)
		}
	}
	if _, err := chromedp.RunResponse(ctx, chromedp.Focus(chromedp.CSS("#q")), chromedp.KeyEvent("waits"+kb.Enter)); err != nil {
		t.Fatal(err)
	}
	shows(t, ctx, "It waits.")
	if got := eval[string](t, ctx, `location.pathname + location.search`); got != "/intents?q=waits" {
		t.Errorf("the search leads to %s", got)
	}
}

func TestDayAndNightLookDifferent(t *testing.T) {
	ctx := browser(t)
	c := startChanging(t, unwell(), nil)
	seen := map[string]string{}
	for _, on := range []screen{deskByDay, deskByNight} {
		on.open(t, ctx, c.url)
		seen[on.scheme] = eval[string](t, ctx, `getComputedStyle(document.body).backgroundColor + " " + getComputedStyle(document.body).color`)
		const paint = `(performance.getEntriesByName("first-contentful-paint")[0] || {startTime: 0}).startTime`
		painted, err := chromedp.Run(ctx, chromedp.Poll[float64](paint))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: painted after %.0f ms", on.name, painted)
	}
	if seen["light"] == seen["dark"] || !strings.HasPrefix(seen["dark"], "rgb(13, 17, 23)") {
		t.Errorf("by day and by night: %q", seen)
	}
}
