// Package records makes a history of what stands on the topics of outcomes and
// dead letters.
package records

import (
	"fmt"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	"paylink/internal/history"
	"paylink/internal/payment"
)

// Place returns where a record stands.
func Place(r devstack.Record) history.Place {
	return history.Place{Partition: r.Partition, Offset: r.Offset}
}

// Outcomes reads records of the outcome topic, in JSON with or without the id of
// a schema.
func Outcomes(recs []devstack.Record) ([]history.Outcome, error) {
	out := []history.Outcome{}
	for _, r := range recs {
		if len(r.Value) > 5 && r.Value[0] == 0 {
			r.Value = r.Value[5:] // the schema's id
		}
		v, err := outcomes.Decode(r.Message)
		if err != nil {
			return nil, fmt.Errorf("outcome at %s: %w", Place(r), err)
		}
		o := history.Outcome{At: Place(r), Time: r.Time, Key: string(r.Key), Intent: string(v.Intent),
			Source: history.Place{Partition: v.Source.Partition, Offset: v.Source.Offset}}
		switch is := v.Outcome.(type) {
		case payment.Created:
			o.Created, o.Payment, o.Link = true, is.PaymentID, is.RedirectURL
		case payment.Failed:
			o.Payment, o.MayExist, o.Reason = is.PaymentID, is.PaymentMayExist, string(is.Reason)
		}
		out = append(out, o)
	}
	return out, nil
}

// DeadLetters reads records of the dead letters.
func DeadLetters(recs []devstack.Record) ([]history.DeadLetter, error) {
	var out []history.DeadLetter
	for _, r := range recs {
		from, err := Source(r)
		if err != nil {
			return nil, err
		}
		out = append(out, history.DeadLetter{At: Place(r), Source: from, Reason: string(r.Header(event.HeaderReason)), Time: r.Time})
	}
	return out, nil
}

// Source reads where a dead letter comes from, as Kafka Connect's tools do.
func Source(r devstack.Record) (from history.Place, err error) {
	const partition, offset = "__connect.errors.partition", "__connect.errors.offset"
	if _, err := fmt.Sscan(string(r.Header(partition))+" "+string(r.Header(offset)), &from.Partition, &from.Offset); err != nil {
		return from, fmt.Errorf("dead letter at %s: %w", Place(r), err)
	}
	return from, nil
}
