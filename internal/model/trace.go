package model

import (
	"fmt"
	"slices"
	"strings"
)

// An Action is a kind of step, in words.
type Action string

// The actions; the package comment says where in the code they are.
const (
	HandOver       Action = "the group gives the partition to {who}"
	Crash          Action = "{who} crashes, and is started again"
	Take           Action = "{who} takes the partition over, from offset {committed}"
	FixStart       Action = "{who} asks where its ledger starts"
	InitProducer   Action = "{who}: InitProducerID gives epoch {epoch}"
	EndTxn         Action = "{who}: EndTxn of epoch {epoch} answers"
	FencedOut      Action = "{who} is fenced out while it fences, and asks the group: {asked}"
	FencedOutBlind Action = "{who} is fenced out while it fences, asks the group and hears nothing: it fences anew"
	Marker         Action = "the marker of epoch {epoch} is written"
	Read           Action = "{who} has read its ledger, and serves"
	Call           Action = "{who} calls the gateway for intent {intent}, which answers"
	Send           Action = "{who} sends the outcome of intent {intent}, under epoch {epoch}"
	Append         Action = "the outcome of intent {intent}, under epoch {epoch}, arrives and is appended"
	Deliver        Action = "{who} hears that the outcome of intent {intent} is durable"
	Refused        Action = "{who} hears that its append is refused, and asks the group: {asked}"
	RefusedBlind   Action = "{who} hears that its append is refused, asks the group and hears nothing: it fences anew"
	Renew          Action = "{who} renews its fence"
	Commit         Action = "{who} commits offset {committed}"
	Notice         Action = "{who} hears from the group that it lost the partition"
	GhostInit      Action = "an InitProducerID that nobody waits for takes epoch {epoch}"
	GhostEnd       Action = "an EndTxn that nobody waits for ends the transaction of epoch {epoch}"
)

// A Trace is a shortest way to where a property breaks, told step by step.
type Trace struct {
	Property Property
	Steps    []string
}

// String is the trace in numbered lines.
func (t Trace) String() string {
	var b strings.Builder
	for i, s := range t.Steps {
		fmt.Fprintf(&b, "%2d. %s\n", i+1, s)
	}
	return b.String() + "broken: " + string(t.Property) + "\n"
}

// trace tells the way to a state, over another one. It goes the way once more,
// with the names and numbers that normal gives up.
func (x *explorer[S]) trace(bad Property, over, to int32) Trace {
	if to == 0 {
		return Trace{Property: bad} // at the beginning already
	}
	way := []int32{to}
	for ; over > 0; over = x.parent[over] {
		way = append(way, over)
	}
	t, now := Trace{Property: bad}, x.m.start()
	for i, to := range slices.Backward(way) {
		var next *S
		x.m.steps(now, func(step Step, s S) {
			if next == nil && x.m.normal(s) == x.states[to] && (i > 0 || bad == x.m.onward() || x.m.broken(&now, step, &s) == bad) {
				next = &s
				t.Steps = append(t.Steps, x.m.tell(step, &now, next))
			}
		})
		if next == nil {
			panic("model: states that normal takes for the same are not")
		}
		now = *next
	}
	return t
}

// tell says what a step does.
func (Protocol) tell(step Step, before, after *State) string {
	was, who := before.member[step.who], string(rune('A'+step.who))
	if was.phase != idle && !was.current && step.Action != HandOver {
		who = "zombie " + who
	}
	asked := "it is the owner, and fences anew"
	if after.member[step.who].phase == idle {
		asked = "it is not the owner, and gives up"
	}
	return strings.NewReplacer("{who}", who, "{asked}", asked, "{intent}", fmt.Sprint(step.intent),
		"{epoch}", fmt.Sprint(step.epoch), "{committed}", fmt.Sprint(after.committed)).Replace(string(step.Action))
}
