package pipeline_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/pace"
	"paylink/internal/payment"
	"paylink/internal/pipeline"
)

// A history is a random life of two members over three partitions: few keys and
// few ids, so that much is repeated; a gateway of every mood; partitions that
// are handed over, lost, and without a lease for a while. Topic and gateway
// watch S1 to S4 all the time; at the end every record must be settled (L1).
// What is thrown at it follows from the seed; who comes first, not always.
type history struct {
	*lab
	*rand.Rand            // of the test's own steps
	moods      *rand.Rand // the gateway's, which is called at the same time
	members    []*member
	emitted    int
	held       bool // the merchant "1" is answered as Misconfigured
}

var (
	histories = flag.Int("histories", 25, "random histories of TestHistories")
	firstSeed = flag.Uint64("seed", 1, "seed of the first of them")
)

func TestHistories(t *testing.T) {
	for i := range *histories {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { runHistory(t, seed) })
	}
}

// FuzzHistory is TestHistories without an end.
func FuzzHistory(f *testing.F) {
	f.Add(uint64(1 << 32))
	f.Fuzz(runHistory)
}

func runHistory(t *testing.T, seed uint64) {
	inLab(t, 3, func(l *lab) {
		h := &history{lab: l, Rand: rand.New(rand.NewPCG(seed, 0)), moods: rand.New(rand.NewPCG(seed, 3))}
		l.gate.otherwise = h.mood
		for range 2 {
			m := l.start(func(c *pipeline.Config) {
				c.Concurrency, c.WindowCount, c.GiveUpAfter = 1+h.IntN(20), 20+h.IntN(100), time.Duration(1+h.IntN(60))*time.Minute
				c.Terms, c.Partitions = paced, func() int { return 3 }
			})
			m.source.kind = h.claim
			h.members = append(h.members, m)
		}
		for range 60 {
			h.step()
		}
		h.rest()
	})
}

// paced limits merchant "2".
func paced(m payment.MerchantID) pipeline.Terms {
	if m == "2" {
		return pipeline.Terms{Rate: pace.Rate{Events: 2, Per: time.Second}}
	}
	return pipeline.Terms{}
}

// claim is how a random claim behaves. What it decides later comes from a
// chance of its own, under topic.mu.
func (h *history) claim(c *claim) {
	r := rand.New(rand.NewPCG(h.Uint64(), 1))
	c.batch = 1 + h.IntN(40)
	c.rereadTakes = time.Duration(h.IntN(2000)) * time.Millisecond
	c.landing = rand.New(rand.NewPCG(h.Uint64(), 2))
	c.appendTakes = func() time.Duration {
		h.topic.mu.Lock()
		defer h.topic.mu.Unlock()
		return time.Duration(r.IntN(300)) * time.Millisecond
	}
	c.appendFails = func(o pipeline.Answer) error {
		if o.ID[0] == 'u' && o.ID[len(o.ID)-1] == '7' {
			return pipeline.ErrTooLarge
		}
		return nil
	}
}

// mood is a random answer; gate.mu held.
func (h *history) mood(in payment.Intent, find bool) answer {
	takes := time.Duration(h.moods.IntN(3000)) * time.Millisecond
	if h.held && in.Merchant == "1" {
		return ours.slow(takes)
	}
	_, made := h.gate.made[in.ID]
	n := h.moods.IntN(20)
	switch {
	case n < 3:
		return lost.slow(takes)
	case n < 4:
		return unsent.slow(takes)
	case n < 5:
		return later(time.Duration(h.moods.IntN(60)) * time.Second)
	case find && made:
		return ok.slow(takes)
	case find:
		return notFound.slow(takes)
	case n < 6:
		return lostMade.slow(takes)
	case n < 7:
		return refused.slow(takes)
	case n < 8:
		return unsigned.slow(takes)
	case n < 9:
		return oursMaybe.slow(takes)
	case n < 10 && made:
		return duplicate.slow(takes)
	}
	return ok.slow(takes)
}

func (h *history) step() {
	after(time.Duration(h.IntN(5000)) * time.Millisecond)
	p := h.topic.parts[h.IntN(len(h.topic.parts))]
	switch n := h.IntN(20); {
	case n < 9:
		for range h.IntN(40) {
			h.emit(p)
		}
	case n < 10:
		p.control(1 + h.IntN(3))
	case n < 13:
		h.take(p)
	case n < 15:
		p.owner(func(c *claim) { c.drain() })
	case n < 17:
		p.owner(func(c *claim) { c.lose() })
	case n < 18:
		p.owner(func(c *claim) { c.setLive(!c.Live()) })
	case n < 19:
		h.gate.mu.Lock()
		h.held = !h.held
		h.gate.mu.Unlock()
	case n < 20:
		after(time.Duration(h.IntN(600)) * time.Second)
	}
	synctest.Wait()
}

// take gives a partition that nobody has to a member.
func (h *history) take(p *partition) {
	if p.owner(func(*claim) {}) {
		return
	}
	h.members[h.IntN(len(h.members))].source.take(p.number)
}

// owner does something with the claim on a partition, if somebody has it.
func (p *partition) owner(f func(*claim)) bool {
	p.topic.mu.Lock()
	c := p.claim
	p.topic.mu.Unlock()
	if c != nil {
		f(c)
	}
	return c != nil
}

// emit adds a random record. Ids are of three kinds: u-…, which come once; d-…,
// which come again under any key; and c-…, which come again under one key, and
// sometimes with other content.
func (h *history) emit(p *partition) {
	h.emitted++
	keys := [...]string{"", "a", "b", "c", "d", "e"}
	key, num := keys[h.IntN(6)], h.IntN(50)
	id := fmt.Sprintf("u-%d-%d", p.number, h.emitted)
	value := intent(id)
	switch n := h.IntN(20); {
	case n == 0:
		value = "junk"
	case n == 1:
		value = `{"intent_id":"` + id + `"}`
	case n == 2:
		at := time.Now().Add(time.Duration(h.IntN(60)) * time.Second).UTC().Format(time.RFC3339)
		value = intent(id, `"expires_at":"`+at+`"`)
	case n < 6:
		value = of("1", id)
	case n < 10:
		value = of(fmt.Sprint(1+num%2), fmt.Sprintf("d-%d-%d", p.number, num))
	case n < 14:
		key, value = keys[1+num%5], of(fmt.Sprint(1+h.IntN(2)), fmt.Sprintf("c-%d-%d", p.number, num))
	}
	p.emit(key, value)
}

// rest lets everything come to its end, and looks at it.
func (h *history) rest() {
	h.gate.mu.Lock()
	h.held = false
	h.gate.mu.Unlock()
	for _, p := range h.topic.parts {
		p.owner(func(c *claim) {
			if c.setLive(true); isClosed(c.draining) {
				<-c.served
			}
		})
		h.take(p)
	}
	h.settles(12 * time.Hour)
	after(time.Minute)
	h.topic.mu.Lock()
	defer h.topic.mu.Unlock()
	for _, p := range h.topic.parts {
		h.accounts(p)
	}
}

// accounts checks that every record of a partition came to its proper end.
func (h *history) accounts(p *partition) {
	dec := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"})
	for i := range p.records {
		r := &p.records[i]
		d, err := dec.Decode(h.t.Context(), r.Message)
		if err != nil {
			if !p.buried[r.Offset] {
				h.t.Errorf("partition %d: unreadable record %d is not buried", p.number, r.Offset)
			}
			continue
		}
		if known, ok := p.answered[d.Intent.ID]; ok && known != d.Digest && !p.buried[r.Offset] {
			h.t.Errorf("partition %d: record %d says other than what %s was answered for, and is not buried", p.number, r.Offset, d.Intent.ID)
		}
	}
	for _, o := range p.outcomes {
		v, err := outcomes.Decode(o.Message)
		if err != nil {
			h.t.Error(err)
			continue
		}
		c, created := v.Outcome.(payment.Created)
		if id := h.gate.made[v.Intent]; created && c.PaymentID != id {
			h.t.Errorf("%s: link of payment %d, want %d", v.Intent, c.PaymentID, id)
		}
		if f, failed := v.Outcome.(payment.Failed); failed && !f.PaymentMayExist && h.gate.made[v.Intent] != 0 {
			h.t.Errorf("S6: partition %d: record %d: %+v, and there is a payment", p.number, o.offset, f)
		}
	}
}
