package event

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"

	"paylink/internal/payment"
)

// A draft is an intent while it is being read: what was said of each field,
// not yet judged. Every input format fills a draft, and Decoder.finish makes
// the same intent of it, so that formats cannot differ in rules or defaults.
type draft struct {
	said   []said   // parallel to payment.Fields
	broken []broken // rules that only the format could see, in any order
	text   []byte   // all texts, one after the other

	pairs     []pair // the first payment.MaxMetadataEntries of metadata
	entries   int    // of metadata, all of them
	pairBytes int    // of metadata, all of them

	others  map[string]bool // names that are no field of ours; true: given more than once
	repeats []string        // those given more than once, fit to be shown
}

// A said is what the record said of one field.
type said struct {
	met   bool // the name was there, perhaps with null
	given bool // with something that is neither null nor ""
	twice bool // the name was there again
	wrong bool // breaks a rule; text is still what was written, for the digest
	text  span
}

type span struct{ from, to int }

type pair struct{ key, value span }

type broken struct {
	field int
	rule  string
}

// What a draft holds on to between two records, and what it shows.
const (
	keepText   = 16 << 10
	keepOthers = 64
	maxRepeats = 8 // violations that repeated names of no field may cause
)

const ruleRepeated = "must not be given more than once"

func newDraft() draft { return draft{said: make([]said, len(payment.Fields))} }

// reset forgets everything.
func (dr *draft) reset() {
	dr.restart()
	dr.repeats = dr.repeats[:0]
	dr.forgetOthers()
}

// forgetOthers forgets the names that are no field of ours: another object begins.
func (dr *draft) forgetOthers() {
	if len(dr.others) > keepOthers {
		dr.others = nil
	}
	clear(dr.others)
}

// restart forgets what was said of the fields.
func (dr *draft) restart() {
	clear(dr.said)
	dr.broken, dr.pairs = dr.broken[:0], dr.pairs[:0]
	dr.entries, dr.pairBytes = 0, 0
	dr.text = dr.text[:0]
	if cap(dr.text) > keepText {
		dr.text = nil
	}
}

// meet notes that a field is given. False: it was given before, which is a
// violation, and this second value counts for nothing.
func (dr *draft) meet(field int) bool {
	s := &dr.said[field]
	if s.met && !s.twice {
		s.twice, s.given = true, true
		dr.breaks(field, ruleRepeated)
	}
	first := !s.met
	s.met = true
	return first
}

// keep says that the text from there on is the value of a field.
func (dr *draft) keep(field, from int) {
	dr.said[field].text = span{from, len(dr.text)}
	dr.said[field].given = len(dr.text) > from
}

// put is keep for a value that is at hand.
func (dr *draft) put(field int, text []byte) {
	dr.text = append(dr.text, text...)
	dr.keep(field, len(dr.text)-len(text))
}

// breaks notes a broken rule, once. The field counts as given.
func (dr *draft) breaks(field int, rule string) {
	dr.said[field].wrong, dr.said[field].given = true, true
	if b := (broken{field, rule}); !slices.Contains(dr.broken, b) {
		dr.broken = append(dr.broken, b)
	}
}

// pair adds an entry of metadata whose key and value were put last. Entries
// beyond the limit are counted, but not kept.
func (dr *draft) pair(field int, p pair) {
	dr.said[field].given = true
	dr.entries++
	dr.pairBytes += p.value.to - p.key.from
	key := dr.text[p.key.from:p.key.to]
	for _, q := range dr.pairs {
		if bytes.Equal(dr.text[q.key.from:q.key.to], key) {
			dr.breaks(field, "must not give a key more than once")
		}
	}
	if len(dr.pairs) == payment.MaxMetadataEntries {
		dr.text = dr.text[:p.key.from]
		return
	}
	dr.pairs = append(dr.pairs, p)
}

// judgePairs notes which limits of metadata are broken.
func (dr *draft) judgePairs(field int) {
	if dr.entries > payment.MaxMetadataEntries {
		dr.breaks(field, fmt.Sprintf("must have at most %d entries, has %d", payment.MaxMetadataEntries, dr.entries))
	}
	if dr.pairBytes > payment.MaxMetadataBytes {
		dr.breaks(field, fmt.Sprintf("must have at most %d bytes of keys and values, has %d", payment.MaxMetadataBytes, dr.pairBytes))
	}
}

// A name that is no field of ours is shown only if it looks like a name, and
// not like somebody's phone number.
var namelike = regexp.MustCompile(`^[A-Za-z][A-Za-z_]{0,39}$`)

// other notes a name that is no field of ours. Such fields are ignored, but not
// if they come twice: what another reader makes of that is not for us to guess.
func (dr *draft) other(name []byte) {
	repeated, met := dr.others[string(name)]
	if !met && dr.others == nil {
		dr.others = make(map[string]bool)
	}
	if !met {
		dr.others[string(name)] = false
		return
	}
	if repeated || len(dr.repeats) == maxRepeats {
		return
	}
	dr.others[string(name)] = true
	shown := "(unknown field)"
	if namelike.Match(name) {
		shown = string(name)
	}
	dr.repeats = append(dr.repeats, shown)
}
