package schemas_test

import (
	"strings"
	"testing"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/schemas"
)

// part returns a section of README.md, from its heading to the next of its level.
func part(t *testing.T, heading string) string {
	t.Helper()
	data, err := schemas.FS.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(data), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

func TestREADMETellsEveryField(t *testing.T) {
	var cells strings.Builder
	for line := range strings.Lines(part(t, "Intent")) {
		if columns := strings.Split(line, "|"); len(columns) > 2 {
			cells.WriteString(columns[1])
		}
	}
	for _, f := range payment.Fields {
		if n := strings.Count(cells.String(), "`"+f.Name+"`"); n != 1 {
			t.Errorf("README.md has field %s in %d rows, want 1", f.Name, n)
		}
	}
}

func TestREADMETellsEveryReason(t *testing.T) {
	outcome, dead := part(t, "Outcome"), part(t, "Dead letters")
	for _, r := range []payment.Reason{payment.InvalidIntent, payment.Refused, payment.Expired, payment.GaveUp, payment.Duplicate} {
		if !strings.Contains(outcome, "\n| `"+string(r)+"` |") {
			t.Errorf("README.md has no row for reason %s", r)
		}
	}
	for _, r := range []event.DeadReason{event.Empty, event.NotJSON, event.NoIntentID, event.BadIntentID, event.UnknownSchema, event.Conflict, event.TooOld, event.TooLarge} {
		if !strings.Contains(dead, "`"+string(r)+"`") {
			t.Errorf("README.md does not tell why a record is %s", r)
		}
	}
}
