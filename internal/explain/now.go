package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"paylink/internal/event"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
)

// A Service is a running replica, by the address of its admin server.
type Service struct {
	URL    string         // scheme and host
	Token  payment.Secret // empty: none is shown
	Client *http.Client
}

// A Wait is what a replica says of a record that it has in hand.
type Wait struct {
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
	Attempts  int       `json:"attempts"`
	LastError string    `json:"last_error"`
}

// A Settled is an outcome that a replica remembers.
type Settled struct {
	State     string    `json:"state"` // created, failed, or answered
	At        time.Time `json:"at"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    *int64    `json:"offset"` // nil: not known
}

// A Reply is all that a replica says of an intent; empty: it knows nothing of it.
type Reply struct {
	Records  []Wait    `json:"records"`
	Outcomes []Settled `json:"outcomes"`
}

// maxReply bounds what is read of a replica's answer.
const maxReply = 1 << 20

// Ask asks why an intent waits, and where its outcome is.
func (s Service) Ask(ctx context.Context, id payment.IntentID) (says Reply, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(s.URL, "/")+"/api/v1/intents/"+url.PathEscape(string(id)), nil)
	if err != nil {
		return says, err
	}
	if s.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.Token.Reveal())
	}
	res, err := s.Client.Do(req)
	if err != nil {
		return says, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return says, nil
	default:
		return says, fmt.Errorf("it answers %s", res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxReply)).Decode(&says); err != nil {
		return Reply{}, fmt.Errorf("it answers no JSON of ours: %w", err)
	}
	return says, nil
}

// A Progress is how far the service's group is, or why that is not known.
type Progress struct {
	kafkaops.GroupState
	Name string
	Err  error
}

// Wait tells why there is no outcome yet. The story must have one pending. replica
// is nil if none is to be asked.
func (s *Story) Wait(ctx context.Context, now time.Time, group Progress, replica *Service) Event {
	p := s.Pending()
	text := "No outcome yet, " + ago(now, p.Time) + " after it was emitted. " + group.says(p.At)
	if replica != nil {
		text += " " + replica.says(ctx, s.Intent, p.At)
	}
	return eventOf(now, Waiting, p.At, strings.TrimSpace(text))
}

func ago(now, then time.Time) string {
	if then.IsZero() {
		return "at a time that is not known"
	}
	d := max(0, now.Sub(then))
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	return d.Round(time.Second).String()
}

func (g Progress) says(at event.Place) string {
	committed, known := g.Committed[at.Partition]
	switch {
	case g.Err != nil:
		return fmt.Sprintf("How far the service is could not be asked: %v.", g.Err)
	case known && committed > at.Offset:
		return "The service has settled all records up to and with this one, and yet no outcome of it was found: \"paylink verify\" looks closer."
	case len(g.Members) == 0:
		return fmt.Sprintf("Nobody works on it: no replica of the service is in the group %s.", g.Name)
	case !known:
		return "The service has settled nothing of this partition yet."
	}
	return fmt.Sprintf("The service has settled all records of this partition below offset %d, and this one has offset %d.", committed, at.Offset)
}

func (s Service) says(ctx context.Context, id payment.IntentID, at event.Place) string {
	reply, err := s.Ask(ctx, id)
	waits := reply.Records
	switch {
	case err != nil:
		return fmt.Sprintf("The replica that was to be asked does not answer: %v.", err)
	case len(waits) == 0 && len(reply.Outcomes) > 0:
		return reply.Outcomes[0].says()
	case len(waits) == 0:
		return "The replica that was asked does not have it in hand: it has not read it yet, or another replica has it."
	}
	w := waits[0]
	for _, x := range waits {
		if x.Partition == at.Partition && x.Offset == at.Offset {
			w = x
		}
	}
	text := "The service says: " + w.State
	if !w.Since.IsZero() {
		text += ", since " + clock(w.Since)
	}
	if w.Attempts > 0 {
		text += ", after " + calls(w.Attempts)
	}
	if w.LastError != "" {
		text += ", the last error was " + w.LastError
	}
	if !w.Until.IsZero() {
		text += "; it goes on at about " + clock(w.Until)
	}
	return text + "."
}

// Knows says what a replica knows of an intent of which nothing was found; empty: it
// knows nothing either, or does not answer.
func (s Service) Knows(ctx context.Context, id string) string {
	reply, err := s.Ask(ctx, payment.IntentID(id))
	switch {
	case err != nil:
		return ""
	case len(reply.Outcomes) > 0:
		return reply.Outcomes[0].says()
	case len(reply.Records) > 0:
		w := reply.Records[0]
		return fmt.Sprintf("The replica has it in hand, in partition %d at offset %d: ask again.", w.Partition, w.Offset)
	}
	return ""
}

// says tells of an outcome that the search did not find: it is newer, or older.
func (o Settled) says() string {
	text := fmt.Sprintf("The replica knows an outcome of it, %s, in partition %d of %s", o.State, o.Partition, o.Topic)
	if o.Offset != nil {
		text += fmt.Sprintf(" at offset %d", *o.Offset)
	}
	if !o.At.IsZero() {
		text += ", of " + clock(o.At)
	}
	return text + ". It is not in what was searched: ask again, or with an earlier --from."
}

// Status tells what the gateway knows of the intent's order now.
func (s *Story) Status(ctx context.Context, gateway payment.Gateway, now time.Time) Event {
	head := s.Head()
	about := head.At
	if o := s.original(); o != nil {
		about = o.At
	}
	st, err := gateway.Find(ctx, s.Asked())
	text := ""
	switch {
	case errors.Is(err, payment.ErrNotFound):
		text = "The gateway knows no payment of order " + head.OrderID + "."
	case errors.Is(err, payment.ErrUnknownMerchant):
		text = fmt.Sprintf("The gateway was not asked: merchant %s is not configured here.", head.Merchant)
	case err != nil:
		text = fmt.Sprintf("The gateway gave no answer that counts: %v.", err)
	default:
		text = fmt.Sprintf("The gateway says: payment %d of order %s is %q, %s.", st.PaymentID, head.OrderID, st.State, money(st.Amount, st.Currency))
		text += s.compare(st)
	}
	return eventOf(now, Status, about, text)
}

// compare says what differs between the gateway's payment and what was told.
func (s *Story) compare(st payment.Status) string {
	head, link := s.Head(), s.Payment()
	text := ""
	if link != 0 && st.PaymentID != link {
		text += fmt.Sprintf(" It is another payment than the link's, which is %d.", link)
	}
	if head.Amount != "" && st.Amount != "" && !head.Amount.Equal(st.Amount) || head.Currency != "" && st.Currency != "" && head.Currency != st.Currency {
		text += " Asked for was " + money(head.Amount, head.Currency) + "."
	}
	return text
}
