package kafkaio

import (
	"fmt"
	"time"

	"paylink/internal/kafkawire"
)

// A fenceNote is kept in the metadata of a partition's committed offset, where
// the next owner finds it, also after a crash of all members.
type fenceNote struct {
	producer int64     // whose fence is in force; -1: not known
	due      time.Time // when the fences so far are paid off, one every fencePace

	intents  kafkawire.TopicID // the topic that the offset belongs to; zero: not known
	outcomes kafkawire.TopicID // the topic that the fence stands in; zero: not known
	since    time.Time         // when outcomes was found to have lost what it held before; zero: it has not
}

// A partition is fenced at most once in fencePace, in the long run: each fence
// uses up an epoch, there are 32766 of them, and a crash loop must not get
// through them. fenceBurst of them may come at once, for the restarts of a
// deployment.
const (
	fencePace  = 10 * time.Second
	fenceBurst = 6
)

// wait is how long to wait before the next fence.
func (n fenceNote) wait(now time.Time) time.Duration {
	if !n.due.After(now) {
		return 0
	}
	return min(max(0, n.due.Sub(now)-(fenceBurst-1)*fencePace), fencePace)
}

// fenced returns the note after a fence by this producer. A time that lies further
// ahead than fences can have made it was noted by a clock that was wrong.
func (n fenceNote) fenced(producer int64, now time.Time) fenceNote {
	due := n.due
	if due.Before(now) {
		due = now
	}
	if latest := now.Add((fenceBurst - 1) * fencePace); due.After(latest) {
		due = latest
	}
	n.producer, n.due = producer, due.Add(fencePace)
	return n
}

// String is the note as metadata: "fence <producer id> <due, Unix seconds> of <id of
// the intent topic> in <id of the outcome topic> <since, Unix seconds>". Versions before
// wrote, and read, what stands before "of".
func (n fenceNote) String() string {
	since := int64(0)
	if !n.since.IsZero() {
		since = n.since.Add(time.Second - 1).Unix() // never earlier than it was
	}
	return fmt.Sprintf("fence %d %d of %s in %s %d", n.producer, n.due.Unix(), n.intents, n.outcomes, since)
}

// parseNote reads a note; anything else, also what another tool wrote, is no note.
func parseNote(s string) fenceNote {
	var n fenceNote
	var due int64
	if _, err := fmt.Sscanf(s, "fence %d %d", &n.producer, &due); err != nil {
		return fenceNote{producer: -1}
	}
	n.due = time.Unix(due, 0)
	var intents, outcomes string
	var since int64
	if _, err := fmt.Sscanf(s, "fence %d %d of %s in %s %d", &n.producer, &due, &intents, &outcomes, &since); err != nil {
		return n
	}
	n.intents, _ = kafkawire.ParseTopicID(intents)
	n.outcomes, _ = kafkawire.ParseTopicID(outcomes)
	if since > 0 {
		n.since = time.Unix(since, 0)
	}
	return n
}
