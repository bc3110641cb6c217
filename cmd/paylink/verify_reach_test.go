package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"paylink/internal/devstack"
	"paylink/internal/event"
)

// TestVerifyDoesNotCallLostWhatRetentionDeleted: below the oldest outcome that is left,
// nobody can tell. Such intents are counted under a word of their own, and are no finding.
func TestVerifyDoesNotCallLostWhatRetentionDeleted(t *testing.T) {
	l := newLab(t, 0, 0, 1)
	for _, i := range []int{0, labPartitions, 2 * labPartitions, 3} { // three are of partition 0, in the order of their times
		m := event.Message{Key: []byte("k"), Value: l.value(i, fate{}, "10.00"), Time: labBegin.Add(time.Duration(i) * time.Second)}
		at := l.emit(i, m)
		if i == 0 || i == labPartitions {
			l.pending(l.decoded(m), at, createdAs(int64(i+1)), m.Time.Add(time.Second))
		}
	}
	l.flush()
	l.commit()
	for _, tt := range []struct {
		below  int64 // what of the outcomes of partition 0 is deleted
		lost   []string
		beyond float64
	}{
		{0, []string{l.id(3, fate{}) + " lost", l.id(2*labPartitions, fate{}) + " lost"}, 0},
		{1, []string{l.id(3, fate{}) + " lost", l.id(2*labPartitions, fate{}) + " lost"}, 1}, // what was sent later is lost all the same
		{2, []string{l.id(3, fate{}) + " lost"}, 3},                                          // nothing is left: of this partition nobody can tell
	} {
		if tt.below > 0 {
			if err := l.stack.Broker.DeleteRecords(devstack.Outcomes, 0, tt.below); err != nil {
				t.Fatal(err)
			}
		}
		out, errs, code := ran(t, l.args("verify", "-o", "json"))
		lines, sum := said(t, out, "finding")
		slices.Sort(tt.lost)
		if code != exitFailure || !slices.Equal(lines, tt.lost) || sum["beyond_reach"] != tt.beyond {
			t.Errorf("outcomes below %d deleted: exit %d, %q, beyond reach %v; want 1, %q, %v\n%s", tt.below, code, lines, sum["beyond_reach"], tt.lost, tt.beyond, errs)
		}
	}
}

// TestVerifyDoesNotCallLostWhatATopicThatWasMadeAgainForgot: the new topic begins at 0, as
// one that has lost nothing, but the service has noted from when on it knows its outcomes.
func TestVerifyDoesNotCallLostWhatATopicThatWasMadeAgainForgot(t *testing.T) {
	l := newLab(t, 0, 0, 1)
	for i := range 2 { // both of partition 0
		l.emit(i*labPartitions, event.Message{Key: []byte("k"), Value: l.value(i*labPartitions, fate{}, "10.00"), Time: labBegin.Add(time.Duration(i) * time.Minute)})
	}
	l.emit(2*labPartitions, event.Message{Key: []byte("k"), Value: l.value(2*labPartitions, fate{}, "10.00"), Time: time.UnixMilli(labBegin.UnixMicro())}) // which may be of any age
	l.flush()
	none := strings.Repeat("0", 32)
	l.commitWith(fmt.Sprintf("fence 7 %d of %s in %s %d", labBegin.Unix(), none, none, labBegin.Add(30*time.Second).Unix()))
	out, errs, _ := ran(t, l.args("verify", "-o", "json", "--to", "latest"))
	lines, sum := said(t, out, "finding")
	if want := []string{l.id(labPartitions, fate{}) + " lost"}; !slices.Equal(lines, want) || sum["beyond_reach"] != 2.0 {
		t.Errorf("%q, beyond reach %v; want %q and 2\n%s", lines, sum["beyond_reach"], want, errs)
	}
}
