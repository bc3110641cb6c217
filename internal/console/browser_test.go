package console_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

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
	for name, s := range map[string]console.State{"well": well(), "unwell": unwell(), "held": bad, "new": {Now: noon, Started: noon}} {
		c := startChanging(t, s, lanes)
		for _, p := range []struct{ name, path string }{{"", "/"}, {"-merchants", "/merchants?page=2"}, {"-partitions", "/partitions"}, {"-intent", "/intents?q=waits"}} {
			for _, on := range []screen{deskByNight, deskByDay, phoneByNight, phoneByDay} {
				on.open(t, ctx, c.url+p.path)
				if wide := eval[int64](t, ctx, `document.documentElement.scrollWidth`); wide > on.width {
					t.Errorf("%s%s on a %s is %d wide, the screen %d", name, p.name, on.name, wide, on.width)
				}
				shoot(t, ctx, name+p.name+"-"+on.name)
			}
		}
	}
}
