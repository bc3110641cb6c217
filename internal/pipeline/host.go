package pipeline

import (
	"errors"
	"slices"
	"time"

	"paylink/internal/pace"
	"paylink/internal/payment"
)

// A host is one gateway: its merchants share whether it works, and how many
// calls it can take. It belongs to Engine.mu.
type host struct {
	name     string
	breaker  pace.Breaker
	adaptive *pace.Adaptive
	inFlight int
	lanes    int     // that are bound to it
	full     []*lane // those that wait for a call of it to end
	was      pace.State
	last     string // class and cause of the newest failure
}

// host returns the host of that name; mu held.
func (e *Engine) host(name string) *host {
	h := e.hosts[name]
	if h == nil {
		h = newHost(name, e.cfg.Concurrency)
		e.hosts[name] = h
	}
	return h
}

func newHost(name string, concurrency int) *host {
	return &host{name: name, adaptive: pace.NewAdaptive(concurrency)}
}

// moveTo binds a lane to a host; mu held.
func (e *Engine) moveTo(h *host, l *lane) {
	if l.host == h {
		return
	}
	if was := l.host; was != nil {
		was.lanes--
		was.full = slices.DeleteFunc(was.full, func(x *lane) bool { return x == l })
		l.blocked = false
	}
	l.host = h
	h.lanes++
}

// dropHosts forgets the gateways that no terms name any more, and what was told of
// them; mu held. Calls of one that are in flight end by themselves.
func (e *Engine) dropHosts() {
	for name, h := range e.hosts {
		if h.lanes == 0 {
			delete(e.hosts, name)
			e.metrics.down.DeleteLabelValues(name)
		}
	}
}

// began counts a call that starts.
func (h *host) began(now time.Time) {
	h.breaker.Allow(now)
	h.inFlight++
}

// ended takes in how a call went; mu held. What was cut off because its claim
// ended says nothing of the gateway.
func (h *host) ended(e *Engine, t *task, err error, now time.Time) {
	h.inFlight--
	if t.desk.ctx.Err() == nil {
		h.judge(t.began, now, err)
	}
	h.told(e, now)
	h.release(e, now)
}

// isFull reports whether the host has as many calls in flight as it can take.
func (h *host) isFull() bool { return h.inFlight >= h.adaptive.Allowed() }

// block has a lane wait until a call ends.
func (h *host) block(l *lane) {
	if !l.blocked {
		l.blocked, l.blockedAt = true, time.Now()
		h.full = append(h.full, l)
	}
}

// release lets lanes go that waited, as many as there is room for.
func (h *host) release(e *Engine, now time.Time) {
	for room := h.adaptive.Allowed() - h.inFlight; room > 0 && len(h.full) > 0; {
		l := h.full[0]
		h.full = h.full[1:]
		l.blocked = false
		if l.index < 0 {
			continue
		}
		if e.reschedule(l, now); !l.next.After(now) {
			room--
		}
	}
}

// releaseHosts lets lanes go that still wait although their host has room: whom
// release gave the room to has made no call, because its task was overdue, or
// its partition is not ours any more. It reports whether there were any; mu held.
func (e *Engine) releaseHosts(now time.Time) (any bool) {
	for _, h := range e.hosts {
		if len(h.full) > 0 && !h.isFull() {
			h.release(e, now)
			any = true
		}
	}
	return any
}

// judge tells breaker and adaptive how a call went. That our credentials are
// wrong says nothing of how well the gateway works, but that it is there: a
// merchant on hold may be the only one left to find that out.
func (h *host) judge(began, now time.Time, err error) {
	if errors.Is(err, payment.ErrUnknownMerchant) {
		return // nobody was asked
	}
	answered, failed := true, false
	if err != nil {
		switch ge := payment.AsGatewayError(err); ge.Class {
		case payment.Misconfigured:
			if h.breaker.State(now) == pace.Open {
				h.breaker.Done(began, now, false)
			}
			return
		case payment.InDoubt, payment.NotSent:
			if answered, failed = false, !isNotFound(err); failed {
				h.last = errorClass(ge)
			}
		}
	}
	h.breaker.Done(began, now, failed)
	h.adaptive.Done(now, now.Sub(began), answered || !failed)
}

// told logs and counts a change of the breaker's state.
func (h *host) told(e *Engine, now time.Time) {
	s := h.breaker.State(now)
	if s == h.was || h.lanes == 0 {
		return
	}
	h.was = s
	down := 0.0
	if s == pace.Open {
		down = 1
	}
	e.metrics.down.WithLabelValues(h.name).Set(down)
	l := e.log.WithField("gateway", h.name).WithField("state", s.String())
	if s == pace.Open {
		h.yieldRoom(e)
		l.Error("the gateway fails broadly: calling it only to see whether it is back; intents wait")
		return
	}
	l.Warn("the gateway answers again")
}

// yieldRoom gives the room that the host's intents take to those of others.
func (h *host) yieldRoom(e *Engine) {
	for _, l := range e.lanes {
		if l.host == h {
			l.yieldRoom()
		}
	}
}

// down reports whether no gateway at all can be called: then nothing is fetched
// either. A host whose probe is due is not down in this sense: whoever could have
// made it may have been lost with its partition, or have expired, and then only a
// fresh record can find out whether the gateway is back.
func (e *Engine) down(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.hosts {
		if h.breaker.State(now) != pace.Open || !h.breaker.Next(now).After(now) {
			return false
		}
	}
	return e.cfg.Hosts != nil && len(e.hosts) > 0 && len(e.hosts) >= e.cfg.Hosts()
}

// downLook is how often to look whether a gateway is back that could be called.
const downLook = 200 * time.Millisecond

// awaitGateway returns once some gateway can be called, or the claim ends.
func (e *Engine) awaitGateway(d *desk) {
	for e.down(time.Now()) {
		select {
		case <-d.intake.Done():
			return
		case <-time.After(downLook):
		}
	}
}
