package service

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"

	"paylink/internal/config"
)

// A watched is a service in a bubble that follows events of its files, and
// counts how often it reads its settings.
type watched struct {
	*service
	events chan fsnotify.Event
	errors chan error
	log    *test.Hook
	reads  atomic.Int64
	bad    atomic.Pointer[error]
}

// looks is how often the settings were read since it was asked before.
func (w *watched) looks() int64 {
	synctest.Wait()
	return w.reads.Swap(0)
}

// follows starts a watched; it ends with the test.
func follows(t *testing.T) *watched {
	log, hook := test.NewNullLogger()
	w := &watched{events: make(chan fsnotify.Event), errors: make(chan error), log: hook}
	cfg := config.Run{File: "conf/paylink.yaml", Merchants: []config.Merchant{{SecretFile: "secrets/key"}}}
	w.service = &service{cfg: cfg, deps: Deps{Log: log, Settings: func() (config.Run, error) {
		w.reads.Add(1)
		if err := w.bad.Load(); err != nil {
			return cfg, *err
		}
		return cfg, nil
	}}}
	w.merchants.replace(cfg.Merchants)
	l := &lookout{events: w.events, errors: w.errors, add: func(string) error { return nil }}
	go w.follow(t.Context(), l)
	time.Sleep(time.Second)
	if n := w.looks(); n != 1 {
		t.Fatalf("%d looks once the folders are watched, want one: they may have changed before", n)
	}
	return w
}

// happens tells of an event, and lets time pass.
func (w *watched) happens(name string, then time.Duration) {
	w.events <- fsnotify.Event{Name: name, Op: fsnotify.Write}
	time.Sleep(then)
	synctest.Wait()
}

func TestOnlyWhatHappensToTheNamedFilesCounts(t *testing.T) {
	for name, want := range map[string]int64{
		"conf/paylink.log": 0, "conf/paylink.yaml~": 0, "conf/key": 0, "secrets/..2026_11_26": 0, "secrets/..data_tmp": 0,
		"conf/paylink.yaml": 1, "./conf/paylink.yaml": 1, "secrets/key": 1, "secrets/..data": 1, "secrets": 1,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := follows(t)
			for range 96 {
				w.happens(name, 10*time.Millisecond)
			}
			time.Sleep(time.Minute)
			if n := w.looks(); n != want {
				t.Errorf("%s changes: the settings are read %d times, want %d", name, n, want)
			}
		})
	}
}

func TestFileThatIsWrittenAllTheTimeIsReadAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := follows(t)
		for range 300 { // half a minute
			w.happens("conf/paylink.yaml", 100*time.Millisecond)
		}
		if n := w.looks(); n < 8 || n > 11 {
			t.Errorf("%d looks in half a minute, want one every %s", n, restLimit)
		}
	})
}

func TestBadSettingsAreToldOnceAndReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := follows(t)
		bad := errors.New("secret file: no such file")
		w.bad.Store(&bad)
		w.happens("conf/paylink.yaml", time.Minute)
		if n := len(w.log.AllEntries()); n != 1 || w.log.LastEntry().Level != logrus.ErrorLevel {
			t.Errorf("%d words of settings that stay bad, want one error", n)
		}
		w.happens("conf/paylink.yaml", time.Second)
		if n := len(w.log.AllEntries()); n != 2 {
			t.Errorf("%d words after another change, want another", n)
		}
		w.bad.Store(nil) // by what happens in a folder that nobody watches
		w.looks()
		time.Sleep(fileAgain)
		if n := w.looks(); n != 1 || w.log.LastEntry().Message != "the settings are valid again, and as before" {
			t.Errorf("%d looks; last word %q", n, w.log.LastEntry().Message)
		}
		time.Sleep(time.Hour)
		if n := w.looks(); n != 0 {
			t.Errorf("%d looks at settings that are valid, want no more", n)
		}
	})
}

func TestErrorsOfWatchingAreToldAndDoNotStopIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := follows(t)
		for range 100 {
			select {
			case w.errors <- fsnotify.ErrEventOverflow:
			case <-time.After(time.Minute):
				t.Fatal("an error is not read: the watcher stands still")
			}
		}
		time.Sleep(time.Second)
		if n := w.looks(); n != 1 || len(w.log.AllEntries()) != 1 || !strings.Contains(w.log.LastEntry().Message, "may have been missed") {
			t.Errorf("%d looks and %d words, want one of each: events were lost", n, len(w.log.AllEntries()))
		}
		w.happens("conf/paylink.yaml", time.Second)
		if n := w.looks(); n != 1 {
			t.Errorf("%d looks after a change, want one", n)
		}
	})
}

// The same with the real thing: what Kubernetes does, a folder that is replaced,
// and one that is not there.
func TestLookoutSeesWhatHappensToFiles(t *testing.T) {
	l, err := newLookout([]string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	dir := t.TempDir()
	file := filepath.Join(dir, "volume", "key")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	volume := func(version string) {
		t.Helper()
		v := filepath.Join(dir, "volume")
		must(os.MkdirAll(filepath.Join(v, version), 0o700))
		must(os.WriteFile(filepath.Join(v, version, "key"), []byte(version), 0o600))
		must(os.Symlink(version, filepath.Join(v, "..data_tmp")))
		must(os.Rename(filepath.Join(v, "..data_tmp"), filepath.Join(v, "..data")))
	}
	volume("..1")
	must(os.Symlink("..data/key", file))
	if fresh, err := l.at([]string{file, filepath.Join(dir, "nowhere", "file")}); !fresh || err == nil {
		t.Errorf("at = %v, %v, want a fresh folder and an error about the other", fresh, err)
	}
	sees := func() {
		t.Helper()
		for end := time.After(30 * time.Second); ; {
			select {
			case e := <-l.events:
				if l.matters(e) {
					return
				}
			case <-end:
				t.Fatal("it sees nothing")
			}
		}
	}
	volume("..2")
	sees()
	must(os.RemoveAll(filepath.Join(dir, "volume")))
	sees()
	must(os.Mkdir(filepath.Join(dir, "volume"), 0o700))
	if fresh, err := l.at([]string{file}); fresh || err != nil {
		t.Errorf("at = %v, %v, want the folder found again", fresh, err)
	}
	for len(l.events) > 0 {
		<-l.events
	}
	must(os.WriteFile(file, []byte("3"), 0o600))
	sees()
}

// A link to a file elsewhere, and a folder that is a link: the one that is changed
// is not in the folder that the settings name.
func TestLookoutSeesWhatIsBehindLinks(t *testing.T) {
	for _, changes := range []string{"file", "link", "folder"} {
		l, err := newLookout([]string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		dir := t.TempDir()
		in := func(name string) string { return filepath.Join(dir, name) }
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		point := func(name, to string) {
			t.Helper()
			must(os.Symlink(to, in("tmp")))
			must(os.Rename(in("tmp"), in(name)))
		}
		for _, v := range []string{"releases/1", "releases/2", "secrets/..1", "secrets/..2"} {
			must(os.MkdirAll(in(v), 0o700))
			must(os.WriteFile(in(v+"/key"), nil, 0o600))
		}
		point("secrets/..data", "..1")
		point("secrets/key", "..data/key")
		point("releases/1/key", in("secrets/key"))
		point("now", "releases/1")
		if fresh, err := l.at([]string{in("now/key")}); !fresh || err != nil {
			t.Fatalf("at = %v, %v", fresh, err)
		}
		switch changes {
		case "file":
			point("secrets/..data", "..2")
		case "link":
			point("releases/1/key", in("secrets/..2/key"))
		case "folder":
			point("now", "releases/2")
		}
		for end, seen := time.After(30*time.Second), false; !seen; {
			select {
			case e := <-l.events:
				seen = l.matters(e)
			case <-end:
				t.Fatalf("another %s: it sees nothing", changes)
			}
		}
	}
}
