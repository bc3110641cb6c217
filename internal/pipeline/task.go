package pipeline

import (
	"time"

	"paylink/internal/attempt"
	"paylink/internal/event"
	"paylink/internal/partition"
	"paylink/internal/schedule"
)

// A task is one loaded record on its way to being settled. It belongs to the
// core, but for what does not change once it is decoded: msg, dec, dead, unfit.
type task struct {
	worker *worker
	msg    Record
	dec    event.Decoded
	dead   *event.Unreadable // no intent: a dead letter
	unfit  *event.Unreadable // an intent that is not called for, unless it has its outcome: a dead letter

	rec      partition.Record // its place in its partition
	work     schedule.Work    // its place in its merchant's lane
	backlog  *schedule.Backlog
	try      attempt.State
	conflict bool // its id came before with other content
	looking  bool // counted in its backlog as waiting for its last look
	repeats  bool // counted there as one that has to be called for again
	follows  bool // counted there as one that is behind another of its key, or intent id
	again    bool // an operator's verb has put it here: see event.HeaderReplayedAt
	timeless bool // its record's time says nothing: age counts from when it was first seen
	ahead    bool // its record's time was to come when it was first seen: age counts from then
	slimmed  bool // msg has neither value nor headers any more
	trail    *trail

	stage stage
	since time.Time               // when it entered its stage
	asked time.Time               // when its newest Init began; zero: none did, or its answer was signed
	spent [finished]time.Duration // in the stages that it has left

	owes      bool // its amount is counted as owed
	counted   bool // in inHand, as countedAs
	doubted   bool // in inHand, as in doubt
	countedAs stage
}

// newTask makes a task of a record that is not decoded yet.
func newTask(w *worker, r Record) *task {
	t := &task{worker: w, msg: r}
	t.rec = partition.Record{Offset: r.Offset, Size: r.Size(), Owner: t}
	if r.Key != nil {
		t.rec.Key = partition.HashOf(r.Key)
	}
	t.work.Owner = t
	return t
}

// decoded takes in what the record says.
func (t *task) decoded(dec event.Decoded) {
	t.dec, t.rec.ID = dec, dec.Intent.ID
	t.work.ID, t.work.ExpiresAt = dec.Intent.ID, dec.Intent.ExpiresAt
	t.again = t.again || t.msg.Header(event.HeaderReplayedAt) != nil || t.msg.Header(event.HeaderRedriveCycles) != nil
}

// slimFrom is from what size on, beside its key, a record is kept without the bytes it
// came in.
const slimFrom = 16 << 10

// slim lets go of the bytes of a large record, once it is decoded: only a dead letter
// needs them, and reads them again. Its key stays: the outcome has it, too.
func (t *task) slim() {
	left := slimFrom + len(t.msg.Key)
	if t.rec.Size < left {
		return
	}
	t.msg.Value, t.msg.Headers, t.slimmed = nil, nil, true
	t.rec.Size = left
	t.msg.Lease.Shrink(left)
}

// release gives back the room of a task that is not loaded any more.
func (t *task) release() {
	t.msg.Lease.Release()
	t.msg.Value, t.msg.Headers = nil, nil
}

// unreadable takes in that the record is no intent. Nothing will be published for
// it: it need not wait for its key. Nor does its key wait for it: its dead letter may
// never be taken.
func (t *task) unreadable(why *event.Unreadable) {
	t.dead, t.rec.Key = why, 0
}

// needsCall reports whether it takes a call to settle the task, as far as its
// arrival tells. What needs none waits for its key, but for nobody's pace.
func (t *task) needsCall() bool {
	return t.dead == nil && t.unfit == nil && !t.conflict && len(t.dec.Violations) == 0 && !t.isTooOld()
}

// contradicts notes what the record says, and whether one before it that is not
// settled says something else of the same intent.
func (t *task) contradicts() {
	t.conflict = t.worker.part.Says(t.rec.Offset, partition.HashOf([]byte(t.rec.ID)), t.dec.Digest)
}

// isTooOld reports whether the task's record may be older than answered intents are
// known. Where its own time says nothing, the newest time before it in the log does:
// it was appended later. What came after the claim began is new in any case, and so is
// what an owner before us had not settled, unless the offsets were set back since.
func (t *task) isTooOld() bool {
	reach := t.worker.claim.Reach()
	if !t.timeless {
		return t.msg.Time.Before(reach)
	}
	claim := t.worker.claim
	return !reach.IsZero() && !claim.Continues() && t.rec.Offset < claim.Fresh() && !t.worker.isDated(t.rec.Offset)
}

// date is told of every record that arrives, before its time counts.
func (w *worker) date(offset int64) {
	if !w.dated && !w.newest.Before(w.claim.Reach()) {
		w.dated, w.datedFrom = true, offset
	}
}

// isDated reports whether records before this one say that it is from a time of which
// answered intents are known. Those after it, which may have been taken since, say nothing.
func (w *worker) isDated(offset int64) bool { return w.dated && offset >= w.datedFrom }

// isInherited reports whether an owner of the partition before us may have called
// for it.
func (t *task) isInherited() bool { return t.rec.Offset < t.worker.claim.Fresh() }

// mayBeCalled reports whether a call may have been made for its intent already that
// no outcome tells of.
func (t *task) mayBeCalled() bool {
	return t.isInherited() || t.again || t.worker.doubtful || t.worker.unpublished[t.rec.ID]
}

// Times of records that are taken for what they say. Brokers refuse by default what
// is more than an hour ahead of them, and topics of intents are not kept for a year.
// Everything else is no time, or one in another unit: seconds where milliseconds
// belong are of January 1970.
const (
	mostAhead  = time.Hour
	mostBehind = 400 * 24 * time.Hour
)

// takeTime sets from when on the task's age counts: its record's time, if that is
// one and not to come, else now, when it is first seen.
func (t *task) takeTime(now time.Time) {
	at := t.msg.Time
	if t.timeless = at.Before(now.Add(-mostBehind)) || at.After(now.Add(mostAhead)); t.timeless {
		t.work.At = now
		return
	}
	t.work.At = at
	if t.ahead = at.After(now); t.ahead {
		t.work.At = now
	}
	if at.After(t.worker.newest) {
		t.worker.newest = at
	}
}

// class is in which order its lane calls for it.
func (t *task) class() schedule.Class {
	switch t.try.Next.(type) {
	case attempt.LastLook:
		return schedule.Last
	}
	if t.try.Repeats > 0 || t.try.Denials > 0 {
		return schedule.Again // also the look after a link in doubt: it can wait
	}
	return schedule.First
}

// A stage is where a task is.
type stage int

const (
	behind     stage = iota // its key or its intent id is busy with an earlier record, or its partition is handed over
	queued                  // in its merchant's lane
	backingOff              // waits before a repeat
	calling                 // the gateway is being asked
	publishing              // its outcome or dead letter is being published
	finished
)

var stageNames = [...]string{"behind its key", "queued", "backing off", "calling", "publishing", "finished"}

func (s stage) String() string { return stageNames[s] }

// isActive says that a drain waits for it.
func (s stage) isActive() bool { return s == calling || s == publishing }
