package kafkaio

import (
	"testing"
	"time"
)

func TestANoteThatIsSetBackLosesItsProducerAlone(t *testing.T) {
	n := fenceNote{producer: -1}.fenced(77, time.Unix(1_800_000_000, 0))
	got, want := parseNote(SetBackNote(n.String())), parseNote(n.String())
	if want.producer = -1; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, other := range []string{"", "fence", "fence 7", "somebody else's"} {
		if got := SetBackNote(other); got != "" {
			t.Errorf("%q: %q, want none", other, got)
		}
	}
}
