package pipeline

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/payment"
)

var (
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	link = payment.Link{PaymentID: 1 << 40, RedirectURL: "https://pay.example/1", RedirectURLType: payment.URLNeedData}
)

// said is an answer of the gateway of some class, with a code and Retry-After.
func said(c payment.Class, signed bool) *payment.GatewayError {
	return &payment.GatewayError{Class: c, Cause: "x", Signed: signed, Code: "340", Description: "words", RetryAfter: 7 * time.Second}
}

// before is a try that has made two calls, of which the last was in doubt or not sent.
func before(doubt bool) try {
	last := payment.NotSent
	if doubt {
		last = payment.InDoubt
	}
	return try{calls: 2, repeats: 2, doubt: doubt, last: &payment.GatewayError{Class: last}}
}

func (v verdict) String() string {
	switch {
	case v.outcome != nil:
		return "settle"
	case v.ask:
		return "ask"
	case v.hold:
		return "hold"
	case v.repeat:
		return fmt.Sprint("repeat ", v.after)
	}
	return "nothing"
}

// TestSettleOpen is section 5 of the design, row by row: what an answer to Init
// leads to, and whether a payment may exist after it, if none might before.
func TestSettleOpen(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		want   string
		reason payment.Reason // of settle
		doubt  bool           // afterwards
	}{
		{"a link", nil, "settle", "", false},
		{"unsigned or broken ok, timeout, 5xx, 429, pending: in doubt", said(payment.InDoubt, false), "repeat 7s", "", true},
		{"in doubt, signed", said(payment.InDoubt, true), "repeat 7s", "", true},
		{"an error of no class", errors.New("boom"), "repeat 0s", "", true},
		{"wrapped", fmt.Errorf("open: %w", said(payment.InDoubt, false)), "repeat 7s", "", true},
		{"not sent", said(payment.NotSent, false), "repeat 0s", "", false},
		{"refused, signed", said(payment.RefusedForGood, true), "settle", payment.Refused, false},
		{"refused, unsigned: ask first", said(payment.RefusedForGood, false), "ask", "", false},
		{"duplicate, signed: ask first", said(payment.IsDuplicate, true), "ask", "", false},
		{"duplicate, unsigned: ask first", said(payment.IsDuplicate, false), "ask", "", false},
		{"our set-up, signed: hold", said(payment.Misconfigured, true), "hold", "", false},
		{"our set-up, unsigned: once is no proof", said(payment.Misconfigured, false), "repeat 0s", "", true},
		{"a class from the future", said(payment.Class(99), true), "repeat 7s", "", true},
	}
	for _, tt := range tests {
		for _, doubt := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/doubt %v", tt.name, doubt), func(t *testing.T) {
				tr := before(doubt)
				l := payment.Link{}
				if tt.err == nil {
					l = link
				}
				v := tr.afterOpen(l, tt.err, noon)
				if v.String() != tt.want || tr.calls != 3 {
					t.Errorf("afterOpen = %v after %d calls, want %s after 3", v, tr.calls, tt.want)
				}
				if tr.doubt != (doubt || tt.doubt) {
					t.Errorf("doubt = %v, want %v", tr.doubt, doubt || tt.doubt)
				}
				if tt.want == "ask" != tr.asking || tt.want == "ask" && !tr.mayExist() {
					t.Errorf("asking = %v, mayExist = %v after %s", tr.asking, tr.mayExist(), tt.want)
				}
				var want payment.Outcome
				switch {
				case tt.err == nil:
					want = payment.Created{Link: link, Attempts: 3, At: noon}
				case tt.want == "settle":
					want = payment.Failed{Reason: tt.reason, ErrorCode: "340", ErrorDescription: "words", PaymentMayExist: doubt, Attempts: 3, At: noon}
				}
				if diff := cmp.Diff(want, v.outcome); diff != "" {
					t.Errorf("outcome (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestSettleHoldsOnTwoUnsignedComplaintsInARow(t *testing.T) {
	var tr try
	unsigned := said(payment.Misconfigured, false)
	for i, step := range []struct {
		err  error
		want string
	}{
		{unsigned, "repeat 0s"}, {said(payment.InDoubt, false), "repeat 7s"}, {unsigned, "repeat 0s"}, {unsigned, "hold"}, {unsigned, "hold"},
	} {
		if v := tr.afterOpen(payment.Link{}, step.err, noon); v.String() != step.want {
			t.Errorf("step %d: %v, want %s", i, v, step.want)
		}
	}
}

// TestSettleFind is what a status lookup leads to, after a duplicate and after
// an unsigned refusal.
func TestSettleFind(t *testing.T) {
	const byDuplicate, byRefusal = payment.IsDuplicate, payment.RefusedForGood
	tests := []struct {
		name   string
		why    payment.Class
		err    error
		want   string
		reason payment.Reason
		asking bool // afterwards
		doubt  bool // afterwards, if there was none
	}{
		{"duplicate, found", byDuplicate, nil, "settle", payment.Duplicate, true, false},
		{"duplicate, not found", byDuplicate, payment.ErrNotFound, "settle", payment.Duplicate, true, false},
		{"duplicate, in doubt", byDuplicate, said(payment.InDoubt, false), "repeat 7s", "", true, false},
		{"duplicate, not sent", byDuplicate, said(payment.NotSent, false), "repeat 7s", "", true, false},
		{"duplicate, refused", byDuplicate, said(payment.RefusedForGood, true), "repeat 7s", "", true, false},
		{"duplicate, our set-up, signed", byDuplicate, said(payment.Misconfigured, true), "hold", "", true, false},
		{"duplicate, our set-up, unsigned", byDuplicate, said(payment.Misconfigured, false), "repeat 7s", "", true, false},
		{"duplicate, an error of no class", byDuplicate, errors.New("boom"), "repeat 0s", "", true, false},
		{"refusal, found: there is a payment after all", byRefusal, nil, "repeat 0s", "", false, true},
		{"refusal, not found", byRefusal, payment.ErrNotFound, "settle", payment.Refused, true, false},
		{"refusal, not found, wrapped", byRefusal, fmt.Errorf("find: %w", payment.ErrNotFound), "settle", payment.Refused, true, false},
		{"refusal, in doubt", byRefusal, said(payment.InDoubt, false), "repeat 7s", "", true, false},
		{"refusal, not sent", byRefusal, said(payment.NotSent, false), "repeat 7s", "", true, false},
		{"refusal, refused", byRefusal, said(payment.RefusedForGood, false), "repeat 7s", "", true, false},
		{"refusal, our set-up, signed", byRefusal, said(payment.Misconfigured, true), "hold", "", true, false},
		{"refusal, our set-up, unsigned", byRefusal, said(payment.Misconfigured, false), "repeat 7s", "", true, false},
		{"refusal, an error of no class", byRefusal, errors.New("boom"), "repeat 0s", "", true, false},
	}
	for _, tt := range tests {
		for _, doubt := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/doubt %v", tt.name, doubt), func(t *testing.T) {
				tr := before(doubt)
				why := &payment.GatewayError{Class: tt.why, Code: "350", Description: "why"}
				tr.asking, tr.because = true, why
				st := payment.Status{}
				if tt.err == nil {
					st.PaymentID = 1 << 40
				}
				v := tr.afterFind(st, tt.err, noon)
				if v.String() != tt.want || tr.calls != 2 {
					t.Errorf("afterFind = %v after %d calls of Init, want %s after 2", v, tr.calls, tt.want)
				}
				if tr.asking != tt.asking || tr.doubt != (doubt || tt.doubt) {
					t.Errorf("asking, doubt = %v, %v; want %v, %v", tr.asking, tr.doubt, tt.asking, doubt || tt.doubt)
				}
				if v.outcome == nil && !tr.mayExist() {
					t.Error("not cleared up, and a payment is denied")
				}
				var want payment.Outcome
				if tt.want == "settle" {
					f := payment.Failed{Reason: tt.reason, ErrorCode: "350", ErrorDescription: "why", PaymentMayExist: doubt, Attempts: 2, At: noon}
					if tt.reason == payment.Duplicate {
						f.PaymentMayExist, f.PaymentID = true, st.PaymentID
					}
					want = f
				}
				if diff := cmp.Diff(want, v.outcome); diff != "" {
					t.Errorf("outcome (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestSettleOverdue(t *testing.T) {
	const hour = time.Hour
	asking := before(false)
	asking.asking, asking.because = true, said(payment.IsDuplicate, true)
	complained := before(true)
	complained.last = said(payment.InDoubt, false)
	tests := []struct {
		name    string
		tr      try
		age     time.Duration // of the record
		held    time.Duration
		expires time.Duration // from now; 0: never
		want    payment.Outcome
	}{
		{"young", try{}, hour - 1, 0, 0, nil},
		{"young, expires later", try{}, hour - 1, 0, 1, nil},
		{"of the very age", try{}, hour, 0, 0, payment.Failed{Reason: payment.GaveUp, Retryable: true}},
		{"old, never called", try{}, 9 * hour, 0, 0, payment.Failed{Reason: payment.GaveUp, Retryable: true}},
		{"old, not sent twice", before(false), hour, 0, 0, payment.Failed{Reason: payment.GaveUp, Retryable: true, Attempts: 2}},
		{"old, in doubt", before(true), hour, 0, 0, payment.Failed{Reason: payment.GaveUp, Retryable: true, PaymentMayExist: true, Attempts: 2}},
		{"old, duplicate not cleared up", asking, hour, 0, 0, payment.Failed{Reason: payment.GaveUp, Retryable: true, PaymentMayExist: true, Attempts: 2}},
		{"old, with the gateway's last words", complained, hour, 0, 0,
			payment.Failed{Reason: payment.GaveUp, Retryable: true, PaymentMayExist: true, Attempts: 2, ErrorCode: "340", ErrorDescription: "words"}},
		{"old, but for the time on hold", before(true), 3 * hour, 2*hour + 1, 0, nil},
		{"old, also without the time on hold", try{}, 3 * hour, 2 * hour, 0, payment.Failed{Reason: payment.GaveUp, Retryable: true}},
		{"expires now", try{}, 0, 0, -1, payment.Failed{Reason: payment.Expired}},
		{"expired, in doubt", before(true), 0, 0, -hour, payment.Failed{Reason: payment.Expired, PaymentMayExist: true, Attempts: 2}},
		{"expired, duplicate not cleared up", asking, 0, 0, -hour, payment.Failed{Reason: payment.Expired, PaymentMayExist: true, Attempts: 2}},
		{"expired on hold: that counts", try{}, hour, hour, -1, payment.Failed{Reason: payment.Expired}},
		{"expired and old", try{}, 2 * hour, 0, -1, payment.Failed{Reason: payment.Expired}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var in payment.Intent
			switch {
			case tt.expires == -1:
				in.ExpiresAt = noon
			case tt.expires != 0:
				in.ExpiresAt = noon.Add(tt.expires)
			}
			got := tt.tr.overdue(in, age{record: noon.Add(-tt.age), giveUp: hour, held: tt.held}, noon)
			if f, ok := tt.want.(payment.Failed); ok {
				f.At = noon
				tt.want = f
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("overdue (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInvalidIntentHasNoPayment(t *testing.T) {
	vs := []payment.Violation{{Field: "amount", Rule: "is required"}}
	want := payment.Failed{Reason: payment.InvalidIntent, Violations: vs, At: noon}
	if diff := cmp.Diff(want, invalid(vs, noon)); diff != "" {
		t.Errorf("invalid (-want +got):\n%s", diff)
	}
}
