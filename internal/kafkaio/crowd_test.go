package kafkaio

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// A crowd is a group of many members in virtual time: a model of the coordinator, and
// of what a member does about an assignment (member.go), around the real assignor. It
// is one thread and draws all chance from one seed, so the same crowd lives the same
// life. What a step takes is in its pace. It knows no lost requests and no clocks; the
// laboratory does.
type crowd struct {
	pace    crowdPace
	rng     *rand.Rand
	now     time.Duration
	events  crowdEvents
	count   int // of events, so that those of one time stay in order
	members map[string]*crowdMember
	parts   []crowdPart

	began     bool            // the first generation has come to be
	gathering bool            // members are to join again
	waits     bool            // … for more of them than are known: nobody was there
	joined    map[string]bool // those who have
	counted   crowdCount
}

// A crowdPace is what the steps take.
type crowdPace struct {
	heartbeat time.Duration // between two of them: a member hears of a rebalance with one
	session   time.Duration // without one for so long, a member is dead to the group
	request   time.Duration // to a broker, and back
	delay     time.Duration // how long the coordinator waits for a first generation
	drain     time.Duration // until the calls in flight of a partition that is let go are over
	fence     time.Duration // of one partition; a member's are made one after the other
	outcomes  int           // in the ledger of one partition
	outcome   time.Duration // to read one; a member's ledgers are read one after the other
	restart   time.Duration // from the end of a process to the first request of the next
}

type crowdMember struct {
	id     string
	static bool           // keeps its place while it restarts
	left   bool           // its process has ended
	gone   bool           // to the group, too
	due    bool           // has a reason to join again
	syncs  bool           // an assignment is on its way to it
	life   int            // which of its processes
	busy   time.Duration  // until when it takes partitions over
	owns   map[int32]bool // true: drains
	given  map[int32]bool
	beat   time.Duration
}

// A crowdPart is a partition: since when nobody serves it.
type crowdPart struct {
	serves string // who does; "": nobody
	was    string // who did
	since  time.Duration
}

// A crowdCount is what came of an event.
type crowdCount struct {
	generations, fences, moved int
	still, longest             time.Duration // of all partitions together, of one
}

type crowdEvent struct {
	at time.Duration
	n  int
	do func()
}

type crowdEvents []crowdEvent

func (e crowdEvents) Len() int { return len(e) }
func (e crowdEvents) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(e[i].at, e[j].at), cmp.Compare(e[i].n, e[j].n)) < 0
}
func (e crowdEvents) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *crowdEvents) Push(x any)   { *e = append(*e, x.(crowdEvent)) }
func (e *crowdEvents) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

func newCrowd(parts int, p crowdPace) *crowd {
	return &crowd{
		pace: p, rng: rand.New(rand.NewPCG(1, 2)), members: map[string]*crowdMember{}, parts: make([]crowdPart, parts),
		joined: map[string]bool{},
	}
}

func (c *crowd) after(d time.Duration, do func()) {
	c.count++
	heap.Push(&c.events, crowdEvent{c.now + d, c.count, do})
}

// settle lives on until every partition is served, nothing is let go and the group is
// at rest, and returns how long that took. After an hour it gives up.
func (c *crowd) settle() (took time.Duration, ok bool) {
	begin := c.now
	for c.events.Len() > 0 && c.now-begin < time.Hour {
		if c.atRest() {
			return c.now - begin, true
		}
		c.step()
	}
	return c.now - begin, c.atRest()
}

// step does what comes next.
func (c *crowd) step() {
	e := heap.Pop(&c.events).(crowdEvent)
	c.now = e.at
	e.do()
}

func (c *crowd) atRest() bool {
	if c.gathering || !c.began {
		return false
	}
	for i := range c.parts {
		if c.parts[i].serves == "" {
			return false
		}
	}
	for _, m := range c.members {
		if m.due || m.syncs || m.left != m.gone {
			return false
		}
		for _, drains := range m.owns {
			if drains {
				return false
			}
		}
	}
	return true
}

// start has a process begin, which joins.
func (c *crowd) start(id string, static bool) {
	m := &crowdMember{id: id, static: static, owns: map[int32]bool{}, beat: time.Duration(c.rng.Int64N(int64(c.pace.heartbeat)))}
	c.after(c.pace.request, func() {
		c.members[id] = m
		c.join(m)
		c.after(m.beat, func() { c.heartbeat(m, 0) })
	})
}

// lives reports whether a process of the member is still there.
func (m *crowdMember) lives(life int) bool { return !m.left && m.life == life }

func (c *crowd) heartbeat(m *crowdMember, life int) {
	if !m.lives(life) {
		return
	}
	m.beat = c.now
	if c.gathering || m.due {
		c.join(m)
	}
	c.after(c.pace.heartbeat, func() { c.heartbeat(m, life) })
}

// join counts a member in for the next generation, and has the others join.
func (c *crowd) join(m *crowdMember) {
	if m.left || m.gone {
		return
	}
	m.due = false
	if !c.gathering {
		c.gathering, c.joined = true, map[string]bool{}
		if !c.began && !c.waits {
			c.waits = true
			c.after(c.pace.delay, func() { c.waits = false; c.complete() })
		}
	}
	c.joined[m.id] = true
	c.complete()
}

// complete ends the gathering when all known members have joined.
func (c *crowd) complete() {
	if !c.gathering || c.waits {
		return
	}
	for id, m := range c.members {
		if !m.gone && !c.joined[id] {
			return
		}
	}
	c.gathering, c.began = false, true
	c.counted.generations++
	var cs []candidate
	for _, id := range slices.Sorted(maps.Keys(c.members)) {
		if m := c.members[id]; !m.gone {
			cs = append(cs, candidate{id, slices.Sorted(maps.Keys(m.owns))})
		}
	}
	given := assign(cs, len(c.parts))
	for _, x := range cs {
		m, parts := c.members[x.id], given[x.id]
		m.syncs = true
		c.after(c.pace.request, func() { c.apply(m, parts) })
	}
}

// apply does what a member does about an assignment.
func (c *crowd) apply(m *crowdMember, parts []int32) {
	m.syncs = false
	if m.left {
		return
	}
	m.given = map[int32]bool{}
	for _, p := range parts {
		m.given[p] = true
	}
	for _, p := range slices.Sorted(maps.Keys(m.owns)) {
		if !m.given[p] && !m.owns[p] {
			c.drain(m, p)
		}
	}
	for _, p := range parts {
		if _, has := m.owns[p]; !has {
			c.take(m, p)
		}
	}
}

// take takes a partition over: fence, then ledger, one partition after the other.
func (c *crowd) take(m *crowdMember, p int32) {
	m.owns[p] = false
	c.counted.fences++
	m.busy = max(m.busy, c.now) + c.pace.fence + time.Duration(c.pace.outcomes)*c.pace.outcome
	life := m.life
	c.after(m.busy-c.now, func() {
		if drains, has := m.owns[p]; has && !drains && m.lives(life) {
			c.serve(m, p)
		}
	})
}

func (c *crowd) serve(m *crowdMember, p int32) {
	part := &c.parts[p]
	if part.serves != "" {
		panic(fmt.Sprintf("partition %d is served by %s and %s", p, part.serves, m.id))
	}
	if part.was != "" && part.was != m.id {
		c.counted.moved++
	}
	stood := c.now - part.since
	c.counted.still += stood
	c.counted.longest = max(c.counted.longest, stood)
	part.serves = m.id
}

// rest notes that a partition is not served any more.
func (c *crowd) rest(m *crowdMember, p int32) {
	if part := &c.parts[p]; part.serves == m.id {
		*part = crowdPart{was: m.id, since: c.now}
	}
}

// drain lets a partition go: no call begins, and when the last one is over it is
// nobody's.
func (c *crowd) drain(m *crowdMember, p int32) {
	m.owns[p] = true
	c.rest(m, p)
	life := m.life
	c.after(c.pace.drain, func() {
		if !m.lives(life) {
			return
		}
		delete(m.owns, p)
		if m.given[p] { // given back meanwhile
			c.take(m, p)
		}
		for _, drains := range m.owns {
			if drains {
				return
			}
		}
		m.due = true
		c.after(c.pace.request, func() {
			if m.due {
				c.join(m)
			}
		})
	})
}

// kill ends a process without a word: the group hears nothing of it for a session.
func (c *crowd) kill(id string) {
	m := c.members[id]
	c.end(m)
	c.after(m.beat+c.pace.session-c.now, func() { c.forget(m) })
}

// stop ends a process as SIGTERM does: it drains, leaves the group unless it is static,
// and starts again.
func (c *crowd) stop(id string) {
	m := c.members[id]
	for p := range m.owns {
		c.rest(m, p)
	}
	c.after(c.pace.drain, func() {
		c.end(m)
		if !m.static {
			c.after(c.pace.request, func() { c.forget(m) })
			c.after(c.pace.restart, func() { c.start(id, false) })
			return
		}
		c.after(c.pace.restart+2*c.pace.request, func() { // the group has noticed nothing
			given := slices.Sorted(maps.Keys(m.given))
			m.left, m.busy = false, c.now
			m.life++
			c.apply(m, given)
			life := m.life
			c.after(c.pace.heartbeat, func() { c.heartbeat(m, life) })
		})
	})
}

func (c *crowd) end(m *crowdMember) {
	m.left, m.due = true, false
	for _, p := range slices.Sorted(maps.Keys(m.owns)) {
		c.rest(m, p)
		delete(m.owns, p)
	}
}

// forget has the group notice that a member is gone.
func (c *crowd) forget(m *crowdMember) {
	if c.members[m.id] != m {
		return
	}
	m.gone = true
	delete(c.members, m.id)
	delete(c.joined, m.id)
	if !c.gathering {
		c.gathering, c.joined = true, map[string]bool{}
	}
	c.complete()
}
