package kafkaio_test

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts one of 16 KiB in a folder. Only root can.
func smallDisk(t *testing.T, dir string) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("SKIP: no disk can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestAFullDiskStopsNobody: the ledger of 1,500 answers has 48 KB. Later there is room.
func TestAFullDiskStopsNobody(t *testing.T) {
	inKept(t, 1, func(l *lab, dir string) {
		smallDisk(t, dir)
		m := l.start("a", keptIn(dir))
		l.emit(0, 1500)
		l.judge(1500)
		time.Sleep(5 * time.Minute)
		m.saidOnce(t, "cannot be written to PAYLINK_LEDGER_DIR")
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m"); err != nil {
			t.Fatal(err)
		}
		l.emit(1500, 10)
		l.judge(1510)
		time.Sleep(2 * time.Minute)
		m.saidOnce(t, "can be written to PAYLINK_LEDGER_DIR again")
		m.leave(t)
		l.calls(1510, 1)
	})
}

// TestAReadOnlyDiskStopsNobody, from the start on and while running.
func TestAReadOnlyDiskStopsNobody(t *testing.T) {
	readOnly := func(t *testing.T, dir string) {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, says string
		early      bool
	}{
		{"from the start", "PAYLINK_LEDGER_DIR cannot be used", true},
		{"while running", "cannot be written to PAYLINK_LEDGER_DIR", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inKept(t, 1, func(l *lab, dir string) {
				smallDisk(t, dir)
				if c.early {
					readOnly(t, dir)
				}
				m := l.start("a", keptIn(dir))
				l.emit(0, 20)
				l.judge(20)
				if !c.early {
					readOnly(t, dir)
				}
				for i := 1; i < 4; i++ {
					l.emit(20*i, 20)
					l.judge(20 + 20*i)
					time.Sleep(2 * time.Minute)
				}
				m.saidOnce(t, c.says)
				m.leave(t)
				l.calls(80, 1)
			})
		})
	}
}
