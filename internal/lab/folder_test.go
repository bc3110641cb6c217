package lab

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// newFolder is the folder that a seat's next life keeps its ledgers in. A life has one
// of its own, since the one before may not have ended: kill -9 would have let go of its
// lock. What is in it is that of the life before, or of an earlier one, as if a disk had
// come back from yesterday; or it is damaged, empty, or there is no folder this time.
func (x *seat) newFolder() string {
	if x.s.disk == "" {
		return ""
	}
	chance := rand.New(rand.NewPCG(x.s.plan.seed+2<<48, uint64(x.n)<<32+uint64(x.lives)))
	dir := filepath.Join(x.s.disk, fmt.Sprintf("%d-%d", x.n, x.lives))
	kind := chance.IntN(8)
	if kind == 0 {
		return ""
	}
	if len(x.folders) > 0 && kind > 1 {
		from := x.folders[len(x.folders)-1]
		if kind < 4 {
			from = x.folders[chance.IntN(len(x.folders))]
		}
		if err := copyLedgers(dir, from, chance, kind == 4); err != nil {
			panic(err)
		}
	}
	x.folders = append(x.folders, dir)
	return dir
}

// copyLedgers copies what a life has left, or damages it on the way.
func copyLedgers(to, from string, chance *rand.Rand, damage bool) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return nil // it has left nothing
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".ledger") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			return err
		}
		if damage {
			b[chance.IntN(len(b))] ^= 1 << chance.IntN(8)
		}
		if err := os.WriteFile(filepath.Join(to, f.Name()), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
