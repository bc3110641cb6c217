package service

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// When changed files are read.
const (
	fileRest  = 300 * time.Millisecond // they have to rest first: editors and Kubernetes change several at once
	restLimit = 3 * time.Second        // but a file that is written all the time is read too
	fileAgain = 10 * time.Second       // what could not be read, or is not valid: its mend may be in a folder nobody watches
	mostAgain = 5 * time.Minute        // the same, if it takes long to read
)

// watch takes up changes of the settings until ctx ends: when it is told to
// (SIGHUP), and when one of their files changes.
func (s *service) watch(ctx context.Context) {
	if s.deps.Settings == nil {
		return
	}
	l, err := newLookout(s.cfg.Files())
	if err != nil {
		s.deps.Log.WithError(err).Warn("cannot watch the settings' files: send SIGHUP after a change")
	}
	defer l.close()
	s.follow(ctx, l)
}

// follow reads the settings anew whenever it is time.
func (s *service) follow(ctx context.Context, l *lookout) {
	r := rest{timer: time.NewTimer(fileAgain)}
	r.timer.Stop()
	defer r.timer.Stop()
	look := func(why reason) {
		began := time.Now()
		if !s.reload(why) {
			r.again(time.Since(began))
		}
		s.lookAt(l, &r)
	}
	s.lookAt(l, &r)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.deps.Reload:
			look(asked)
		case e := <-l.events:
			if l.matters(e) {
				r.disturbed(time.Now())
			}
		case err := <-l.errors: // they have to be read, or no event comes any more
			s.watchingFails(err, &r)
		case <-r.timer.C:
			look(r.over())
		}
	}
}

// watchingFails tells that changes may have been missed, and has the files read
// for that; once per rest, so that a watcher that only fails does not fill the log.
func (s *service) watchingFails(err error, r *rest) {
	if r.since.IsZero() {
		s.deps.Log.WithError(err).Warn("watching the settings' files fails: changes may have been missed, reading them; if this comes back, send SIGHUP after a change")
	}
	r.disturbed(time.Now())
}

// lookAt has the files of the settings watched, as they are named now. What
// happened to them before that is found by reading them once more.
func (s *service) lookAt(l *lookout, r *rest) {
	fresh, err := l.at(s.cfg.Files())
	if fresh {
		r.disturbed(time.Now())
	}
	if err != nil && err.Error() != l.failed {
		l.failed = err.Error()
		s.deps.Log.WithError(err).Warn("cannot watch all of the settings' files: send SIGHUP after a change")
	}
}

// A lookout tells what happens to files. It watches their folders, because a
// file that is replaced is another file.
type lookout struct {
	events <-chan fsnotify.Event
	errors <-chan error
	add    func(folder string) error
	close  func() error

	names   map[string]bool // of the files and their folders
	folders map[string]bool // those that are watched
	failed  string          // what was told of folders that are not
}

// newLookout returns a lookout that looks at nothing yet; with an error, or for
// settings that name no file, at nothing ever: only files name more files.
func newLookout(files []string) (*lookout, error) {
	blind := &lookout{add: func(string) error { return nil }, close: func() error { return nil }}
	if len(files) == 0 {
		return blind, nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return blind, err
	}
	return &lookout{events: w.Events, errors: w.Errors, add: w.Add, close: w.Close}, nil
}

// at has it look at these files, and no others. A folder that was replaced is
// found again. It reports whether there is a folder that it did not look at before.
func (l *lookout) at(files []string) (fresh bool, err error) {
	names, folders := map[string]bool{}, map[string]bool{}
	for f := range ways(files) {
		folder := filepath.Dir(f)
		names[filepath.Clean(f)], names[folder] = true, true
		if folders[folder] {
			continue
		}
		if e := l.add(folder); e != nil {
			err = errors.Join(err, e)
			continue
		}
		folders[folder] = true
		fresh = fresh || !l.folders[folder]
	}
	l.names, l.folders = names, folders
	return fresh, err
}

// ways returns the files, and the links by which they are found: whoever sets one of
// those to another file changes it too.
func ways(files []string) map[string]bool {
	all, seen := map[string]bool{}, map[string]bool{}
	var follow func(path string)
	follow = func(path string) {
		for ; !seen[path]; path = filepath.Dir(path) {
			seen[path] = true
			target, err := os.Readlink(path)
			if err != nil {
				continue
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(path), target)
			}
			all[path], all[filepath.Clean(target)] = true, true
			follow(filepath.Clean(target))
		}
	}
	for _, f := range files {
		all[filepath.Clean(f)] = true
		follow(filepath.Clean(f))
	}
	return all
}

// swap is what Kubernetes replaces, in the folder of a ConfigMap or Secret, when
// it changes the files there; the files themselves are links through it.
const swap = "..data"

// matters reports whether something happened to one of the files. What else is
// done in their folders, such as a log that is written there, does not.
func (l *lookout) matters(e fsnotify.Event) bool {
	name := filepath.Clean(e.Name)
	return l.names[name] || filepath.Base(name) == swap
}

// A rest is the time that files need before they are read.
type rest struct {
	timer *time.Timer
	since time.Time // the first change that was not read yet; zero: none
}

// disturbed begins the rest anew, within its limit.
func (r *rest) disturbed(now time.Time) {
	if r.since.IsZero() {
		r.since = now
	}
	r.timer.Reset(max(0, min(fileRest, restLimit-now.Sub(r.since))))
}

// over ends the rest and says why it is time to read.
func (r *rest) over() reason {
	if r.since.IsZero() {
		return again
	}
	r.since = time.Time{}
	return changed
}

// again has it read once more later, unless that is soon anyway. What takes long to
// read is read again the later: a hundred thousand merchants with a mistake among them
// take no more than a hundredth of the time while they stand there.
func (r *rest) again(took time.Duration) {
	if r.since.IsZero() {
		r.timer.Reset(min(max(fileAgain, 100*took), mostAgain))
	}
}
