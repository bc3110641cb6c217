package tell

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A Progress shows how far long work is: a bar on a terminal, else a plain line
// now and then. It may be used concurrently; nil shows nothing.
type Progress struct {
	mu    sync.Mutex
	bar   *progressbar.ProgressBar // nil: plain lines
	out   io.Writer
	what  string
	total int64
	done  int64
	began time.Time
	next  time.Time
}

// lineEvery is how often a plain line comes.
const lineEvery = 10 * time.Second

// NewProgress shows work of so many steps; total -1: not known.
func NewProgress(out io.Writer, what string, total int64) *Progress {
	p := &Progress{out: out, what: what, total: total, began: time.Now()}
	p.next = p.began.Add(lineEvery)
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth())
	}
	return p
}

// Add says that n more steps are done.
func (p *Progress) Add(n int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if p.bar != nil {
		_ = p.bar.Add64(n) // a terminal that is gone needs no bar
		return
	}
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(lineEvery)
		fmt.Fprintln(p.out, p.line(now))
	}
}

// Done takes the bar away.
func (p *Progress) Done() {
	if p == nil || p.bar == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.bar.Finish()
}

func (p *Progress) line(now time.Time) string {
	rate := float64(p.done) / now.Sub(p.began).Seconds()
	if p.total < 0 {
		return fmt.Sprintf("%s: %d, %.0f/s", p.what, p.done, rate)
	}
	left := "?"
	if rate > 0 {
		left = (time.Duration(float64(max(0, p.total-p.done))/rate) * time.Second).String()
	}
	return fmt.Sprintf("%s: %d of %d, %.0f/s, %s left", p.what, p.done, p.total, rate, left)
}
