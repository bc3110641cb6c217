package pipeline

import (
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
	full     []*lane // those that wait for a call of it to end
	was      pace.State
}

// host returns the host of that name; mu held.
func (e *Engine) host(name string) *host {
	h := e.hosts[name]
	if h == nil {
		h = &host{name: name, adaptive: pace.NewAdaptive(e.cfg.Concurrency)}
		e.hosts[name] = h
	}
	return h
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
		l.blocked = true
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

func (h *host) judge(began, now time.Time, err error) {
	answered, failed := true, false
	if err != nil {
		switch ge := payment.AsGatewayError(err); ge.Class {
		case payment.Misconfigured:
			return
		case payment.InDoubt, payment.NotSent:
			answered, failed = false, !isNotFound(err)
		}
	}
	h.breaker.Done(began, now, failed)
	h.adaptive.Done(now, now.Sub(began), answered || !failed)
}

// told logs and counts a change of the breaker's state.
func (h *host) told(e *Engine, now time.Time) {
	s := h.breaker.State(now)
	if s == h.was {
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
		case <-d.claim.Draining():
			return
		case <-d.ctx.Done():
			return
		case <-time.After(downLook):
		}
	}
}
