package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/config"
)

var update = flag.Bool("update", false, "write the manual anew")

// TestTheManualIsThatOfTheGrammar: -update writes it.
func TestTheManualIsThatOfTheGrammar(t *testing.T) {
	const page = "../../deploy/man/paylink-dev.1"
	want, err := config.Manual(&cli{}, "paylink-dev", description)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s (-update writes it):\n%s", page, diff)
	}
}

func TestVersionAndHelpAreFoundWhereEverybodyLooks(t *testing.T) {
	says := func(args ...string) string {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, world{out: &out, err: &errs}); code != exitOK {
			t.Errorf("%q: exit %d: %s", args, code, errs.String())
		}
		return out.String()
	}
	if got := says("--version"); !strings.HasPrefix(got, "paylink-dev ") || got != says("version") {
		t.Errorf("--version says %q", got)
	}
	if got := says("help", "emit"); got != says("emit", "--help") || got == "" {
		t.Errorf("help emit says %q", got)
	}
}
