package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"paylink/internal/config"
	"paylink/internal/event"
	"paylink/internal/explain"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
	"paylink/internal/service"
	"paylink/internal/tell"
)

// askLimit is how long a running replica is waited for.
const askLimit = 10 * time.Second

// explainID tells what became of one intent, or of all that the id may mean.
func explainID(ctx context.Context, cfg config.Explain, w world) error {
	a, err := openArchive(cfg.Reading, cfg.Asking, time.Now())
	if err != nil {
		return err
	}
	defer a.close()
	e := explaining{archive: a, cfg: cfg, w: w}
	found, err := e.find(ctx)
	if err != nil {
		return stopped(ctx, err, "not all of the range was searched", "ask again; --key or a later --from leaves less to search")
	}
	e.note(found)
	p := a.printer(w)
	if len(found.Stories) == 0 {
		if r := e.replica(); r != nil {
			if says := r.Knows(ctx, cfg.ID); says != "" {
				fmt.Fprintln(w.err, "paylink:", says)
			}
		}
		if err := p.Head(explainCell{}); err != nil {
			return err
		}
		if err := p.Summary(explain.Summary{Kind: "summary", State: explain.Unknown}); err != nil {
			return err
		}
		return errTold
	}
	for i := range found.Stories {
		if err := e.tell(ctx, p, &found.Stories[i]); err != nil {
			return stopped(ctx, err, "the story is not complete", "ask again")
		}
	}
	return nil
}

// explaining is one run of the verb.
type explaining struct {
	*archive
	cfg   config.Explain
	w     world
	group *explain.Progress // asked for once
}

// find searches the range.
func (e *explaining) find(ctx context.Context) (*explain.Found, error) {
	var in explain.Range
	for _, t := range []struct {
		topic string
		spans *[]kafkaops.Span
	}{{e.cfg.Topics.Intents, &in.Intents}, {e.cfg.Topics.Outcomes, &in.Outcomes}, {e.cfg.Topics.DeadLetters, &in.DeadLetters}} {
		spans, err := e.spans(ctx, t.topic)
		if err != nil {
			return nil, err
		}
		*t.spans = spans
	}
	f := explain.Finder{Kafka: e.kafka, Facts: e.facts, Work: func(what string, records int64) (func(int64), func()) {
		p := tell.NewProgress(e.w.err, what, records)
		return p.Add, p.Done
	}}
	return f.Find(ctx, explain.Question{ID: e.cfg.ID, Key: e.cfg.Key, Everywhere: e.cfg.Everywhere, Wants: e.wants}, in)
}

// note says on standard error how the intent was found, or where it was not.
func (e *explaining) note(found *explain.Found) {
	say := func(format string, args ...any) { fmt.Fprintf(e.w.err, "paylink: "+format+"\n", args...) }
	for i := range found.Stories {
		st := &found.Stories[i]
		if st.Intent != "" {
			say("%s is %s: intent %s", e.cfg.ID, st.By, st.Intent)
		} else {
			say("%s is %s, and no intent could be read there", e.cfg.ID, st.By)
		}
	}
	switch {
	case len(found.Stories) == 0:
		hint := "; --from earliest searches further back"
		if e.cfg.Begin.Earliest {
			hint = ""
		}
		say("%s is no id of an intent, an order or a payment between %s and %s%s", e.cfg.ID, e.when(e.cfg.Begin, "the oldest record"), e.when(e.cfg.End, "now"), hint)
	case found.Partition >= 0:
		say("only partition %d was searched, that of the key; --everywhere searches all", found.Partition)
	}
	if found.Thorough {
		say("the id stands nowhere as plain text, so that every record was read in full")
	}
	for i, why := range found.Unreadable {
		if i == 3 {
			say("and %d more that could not be read", len(found.Unreadable)-i)
			break
		}
		say("this record may be about it, and could not be read: %s", why)
	}
}

// when writes an end of the range.
func (e *explaining) when(w config.When, otherwise string) string {
	if t := w.Time(e.now); !t.IsZero() {
		return stamp(t, time.RFC3339)
	}
	if w.Latest {
		return "now"
	}
	return otherwise
}

// tell prints one story.
func (e *explaining) tell(ctx context.Context, p *tell.Printer, st *explain.Story) error {
	personal, err := e.personal(ctx, st)
	if err != nil {
		return err
	}
	events := st.Events(personal)
	if st.Pending() != nil {
		events = append(events, st.Wait(ctx, e.now, e.progress(ctx), e.replica()))
	}
	if !e.cfg.Offline && len(e.cfg.Merchants) > 0 && st.Intent != "" && st.Head().OrderID != "" {
		gateway := service.Gateway(e.cfg.Asking, nil, http.ProxyFromEnvironment)
		defer gateway.Close()
		events = append(events, st.Status(ctx, gateway, e.now))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, ev := range events {
		if err := p.Row(e.row(ev, st)); err != nil {
			return err
		}
	}
	return p.Summary(st.Summary())
}

// An explainRow is an event for people.
type explainRow struct {
	At     string `json:"at"`
	Event  string `json:"event"`
	Record string `json:"record"`
	Text   string `json:"text"`
}

// An explainCell is an event for spreadsheets: of several intents each row says
// which one it is about.
type explainCell struct {
	At        string           `json:"at"`
	Intent    payment.IntentID `json:"intent_id"`
	Event     string           `json:"event"`
	Topic     string           `json:"topic"`
	Partition int32            `json:"partition"`
	Offset    int64            `json:"offset"`
	Text      string           `json:"text"`
}

func (e *explaining) row(ev explain.Event, st *explain.Story) any {
	switch tell.Format(e.cfg.Output) {
	case tell.JSON:
		return ev
	case tell.CSV:
		return explainCell{stamp(ev.At, time.RFC3339Nano), st.Intent, ev.Event, ev.Topic, ev.Partition, ev.Offset, ev.Text}
	}
	return explainRow{stamp(ev.At, "2006-01-02 15:04:05 UTC"), ev.Event, fmt.Sprintf("%s/%d@%d", ev.Topic, ev.Partition, ev.Offset), ev.Text}
}

// stamp writes a time; of a record without one it is empty.
func stamp(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(layout)
}

// progress asks the group, once.
func (e *explaining) progress(ctx context.Context) explain.Progress {
	if e.group == nil {
		state, err := e.kafka.Group(ctx, e.cfg.Group, e.cfg.Topics.Intents)
		e.group = &explain.Progress{GroupState: state, Name: e.cfg.Group, Err: err}
	}
	return *e.group
}

func (e *explaining) replica() *explain.Service {
	if e.cfg.AdminURL == "" {
		return nil
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: e.cfg.Replica.TLS, DisableKeepAlives: true}
	return &explain.Service{URL: e.cfg.AdminURL, Token: e.cfg.Replica.Token, Client: &http.Client{Timeout: askLimit, Transport: transport, CheckRedirect: noRedirect}}
}

// noRedirect keeps a token from going elsewhere.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// personal is phone, e-mail and IP of the emitted records, if they are to be shown.
func (e *explaining) personal(ctx context.Context, st *explain.Story) (map[event.Place]string, error) {
	if !e.cfg.ShowPersonal {
		return nil, nil
	}
	all := map[event.Place]string{}
	for _, at := range st.Emissions() {
		one := kafkaops.Span{Topic: at.Topic, Partition: at.Partition, From: at.Offset, To: at.Offset + 1}
		err := e.kafka.Read(ctx, []kafkaops.Span{one}, 1, func(at event.Place, m event.Message) error {
			d, err := e.facts.Intents.Decode(ctx, m)
			if err != nil {
				return nil // it was readable a moment ago; the story is told without
			}
			for _, name := range []string{"user_phone", "user_contact_email", "user_ip"} {
				if v := d.Intent.Param(name); v != "" {
					all[at] += fmt.Sprintf(" %s %s.", strings.ReplaceAll(name, "_", " "), v)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
