package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"paylink/internal/devstack"
)

// An outcome is what a person wants to know of one.
type outcome struct {
	Type            string `json:"type"`
	IntentID        string `json:"intent_id"`
	Amount          string `json:"amount"`
	Currency        string `json:"currency"`
	RedirectURL     string `json:"redirect_url"`
	RedirectURLType string `json:"redirect_url_type"`
	Attempts        int    `json:"attempts"`
	Reason          string `json:"reason"`
	ErrorCode       string `json:"error_code"`
	Description     string `json:"error_description"`
	PaymentMayExist bool   `json:"payment_may_exist"`
	Violations      []struct{ Field, Rule string }
}

// kindOf names a record for people: created, failed, dead letter, record.
func kindOf(r devstack.Record) string {
	switch ce := string(r.Header("ce_type")); {
	case strings.Contains(ce, "payment-created"):
		return "created"
	case strings.Contains(ce, "payment-failed"):
		return "failed"
	case r.Header("paylink-reason") != nil:
		return "dead letter"
	}
	return "record"
}

// humanLine is one line for a person. Values that are no JSON are told by
// their headers.
func humanLine(r devstack.Record) string {
	kind := kindOf(r)
	head := fmt.Sprintf("%s  %-11s  ", r.Time.Local().Format("15:04:05.000"), kind)
	return head + printable(details(kind, r))
}

func details(kind string, r devstack.Record) string {
	if kind == "dead letter" {
		return fmt.Sprintf("%s: %s", r.Header("paylink-reason"), r.Header("paylink-error"))
	}
	var o outcome
	if json.Unmarshal(r.Value, &o) != nil || o.IntentID == "" {
		subject := string(r.Header("ce_subject"))
		return fmt.Sprintf("%s  %d bytes at %s/%d@%d", subject, len(r.Value), r.Topic, r.Partition, r.Offset)
	}
	head := strings.TrimSpace(fmt.Sprintf("%s  %s %s", o.IntentID, o.Amount, o.Currency))
	if o.RedirectURL != "" {
		return head + "  " + o.RedirectURL + plural(o.Attempts)
	}
	if o.Reason != "" {
		return head + "  " + why(o)
	}
	return head
}

func why(o outcome) string {
	s := o.Reason
	sep := ": "
	for _, v := range o.Violations {
		s += sep + v.Field + " " + v.Rule
		sep = "; "
	}
	if o.ErrorCode != "" {
		s += fmt.Sprintf(": error %s %s", o.ErrorCode, o.Description)
	}
	if o.PaymentMayExist {
		s += " (a payment may exist)"
	}
	return s + plural(o.Attempts)
}

// plural tells the number of calls if it was not one.
func plural(attempts int) string {
	if attempts > 1 {
		return fmt.Sprintf("  (%d calls)", attempts)
	}
	return ""
}

// printable keeps a line a line, whatever somebody wrote into a record.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, s)
}
