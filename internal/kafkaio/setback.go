package kafkaio

import (
	"strings"
	"time"

	"paylink/internal/kafkawire"
)

// SetBackNote is what to commit beside an offset that an operator sets, of the note
// that stands beside the one of now. What it knows of the topics stays: without it
// the next owner would not see that outcomes were lost. Who fenced last goes, so that
// nobody takes the offset for one that an owner has come to.
func SetBackNote(metadata string) string {
	rest, ours := strings.CutPrefix(metadata, "fence ")
	_, rest, whole := strings.Cut(rest, " ")
	if !ours || !whole {
		return ""
	}
	return "fence -1 " + rest
}

// KnownSince is from when on an outcome topic, of this id, holds all outcomes of an intent
// partition, as far as the note beside the partition's offset tells; zero: it says of none
// that was lost. A topic that was made again since the note was written begins now.
func KnownSince(metadata string, outcomes kafkawire.TopicID, now time.Time) time.Time {
	n := parseNote(metadata)
	if differs(n.outcomes, outcomes) {
		return now
	}
	return n.since
}
