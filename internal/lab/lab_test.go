package lab

import (
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"paylink/internal/history"
)

func TestLab(t *testing.T) {
	n := uint64(5)
	if v := os.Getenv("LAB_SEEDS"); v != "" {
		n, _ = strconv.ParseUint(v, 10, 64)
	}
	first := uint64(1)
	if v := os.Getenv("LAB_FIRST"); v != "" {
		first, _ = strconv.ParseUint(v, 10, 64)
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			p := draw(seed)
			began := time.Now()
			var w io.Writer
			if os.Getenv("LAB_LOG") != "" {
				w = os.Stderr
			}
			h, notes := perform(t, p, w)
			v := history.Judge(h)
			if s := v.String(); s != "" {
				t.Errorf("%s\n%v\n%s", p, notes, s)
			}
			t.Logf("%s: %s", time.Since(began).Round(time.Millisecond), v.Counts)
			if testing.Verbose() {
				t.Log(p)
				t.Log(notes)
			}
		})
	}
}
