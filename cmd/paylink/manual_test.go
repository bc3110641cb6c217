package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/config"
)

// TestTheManualIsThatOfTheGrammar: -update writes it.
func TestTheManualIsThatOfTheGrammar(t *testing.T) {
	const page = "../../deploy/man/paylink.1"
	want, err := config.Manual(&cli{}, "paylink", description)
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
	for _, part := range []string{".SS paylink topics create\n", "PAYLINK_KAFKA_BROKERS", `\-\-execute`, "not a flag"} {
		if !strings.Contains(want, part) {
			t.Errorf("the manual lacks %q", part)
		}
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
	for _, same := range [][2][]string{
		{{"--version"}, {"version"}},
		{{"help"}, {"--help"}},
		{{"help", "topics", "create"}, {"topics", "create", "--help"}},
		{{"help", "run"}, {"run", "--help"}},
	} {
		if got, want := says(same[0]...), says(same[1]...); got != want || got == "" {
			t.Errorf("%q says %.80q, want what %q says: %.80q", same[0], got, same[1], want)
		}
	}
}
