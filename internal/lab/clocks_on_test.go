//go:build jumping

package lab

import (
	"context"
	"runtime/pprof"
	"sync"
	"time"
	"unsafe"

	"paylink/internal/config"
	"paylink/internal/service"
)

const clocksJump = true

// lives are the processes by the labels of their goroutines.
var lives sync.Map

func init() {
	time.WallSkew = func(label unsafe.Pointer) int64 {
		if l, ok := lives.Load(label); ok {
			return l.(*life).clock.Load()
		}
		return 0
	}
}

// run runs a process under its own wall clock.
func (l *life) run(ctx context.Context, cfg config.Run, deps service.Deps) (err error) {
	pprof.Do(ctx, pprof.Labels("process", l.name), func(ctx context.Context) {
		label := time.GoroutineLabel()
		lives.Store(label, l)
		defer lives.Delete(label) // or it, and all it knows, stays in memory
		err = service.Run(ctx, cfg, deps)
	})
	return err
}
