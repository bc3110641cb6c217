package gatewaysim

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A Rule asks for one unkindness, for many orders.
type Rule struct {
	Status   bool    // for status calls; otherwise for Init
	Name     string  // of the unkindness, as in the package comment
	Arg      string  // its argument; empty: its default
	Merchant string  // only for this merchant; empty: for all
	Rate     float64 // share of the calls, at most 1; zero: every call
	Count    int     // how often at most; zero: without end
}

// String returns the rule as ParseRules reads it.
func (r Rule) String() string {
	var b strings.Builder
	if r.Status {
		b.WriteString("status/")
	}
	b.WriteString(r.Name)
	if r.Arg != "" {
		b.WriteString(":" + r.Arg)
	}
	if r.Merchant != "" {
		b.WriteString("@" + r.Merchant)
	}
	if r.Rate != 0 {
		b.WriteString("=" + strconv.FormatFloat(r.Rate, 'f', -1, 64))
	}
	if r.Count != 0 {
		b.WriteString("*" + strconv.Itoa(r.Count))
	}
	return b.String()
}

// ParseRules reads rules, separated by commas or white space:
//
//	[status/]name[:argument][@merchant][=rate][*count]
//
// Rules without a rate come before those with one; of several, the first that
// is not used up. The rates of Init rules add up to 1 at most, and so do those
// of status rules. "http-500-before" is another spelling of "500-before", and
// so on. No text means no rules.
func ParseRules(s string) ([]Rule, error) {
	var rules []Rule
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		r, err := parseRule(word)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", word, err)
		}
		rules = append(rules, r)
	}
	_, err := enliven(rules)
	return rules, err
}

func parseRule(s string) (r Rule, err error) {
	if before, count, ok := cutLast(s, "*"); ok {
		s = before
		if r.Count, err = strconv.Atoi(count); err != nil || r.Count < 1 {
			return r, errors.New("count is no positive number")
		}
	}
	if before, rate, ok := cutLast(s, "="); ok {
		s = before
		if r.Rate, err = strconv.ParseFloat(rate, 64); err != nil || !(r.Rate > 0 && r.Rate <= 1) {
			return r, errors.New("rate is not above 0 and at most 1")
		}
	}
	s, r.Merchant, _ = strings.Cut(s, "@")
	s, r.Status = strings.CutPrefix(s, "status/")
	s = strings.TrimPrefix(s, "http-")
	r.Name, r.Arg, _ = strings.Cut(s, ":")
	return r, r.check()
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// check returns why a rule cannot be played.
func (r Rule) check() error {
	u := unkindnessNamed(r.Name)
	switch {
	case u == nil:
		return fmt.Errorf("no unkindness %q; there are %s", r.Name, strings.Join(unkindnessNames(), ", "))
	case u.statusOnly && !r.Status:
		return fmt.Errorf("%s is for status calls only: status/%s", r.Name, r.Name)
	case !(r.Rate >= 0 && r.Rate <= 1):
		return errors.New("rate is not between 0 and 1")
	case r.Count < 0:
		return errors.New("count is below zero")
	}
	if err := u.checkArg(r.Arg); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	return nil
}

// A liveRule is a rule in force.
type liveRule struct {
	Rule
	left int // of Count
}

func (l *liveRule) usedUp() bool { return l.Count > 0 && l.left == 0 }

// use takes one of Count and returns the rule.
func (l *liveRule) use() Rule {
	if l.Count > 0 {
		l.left--
	}
	return l.Rule
}

// enliven checks rules, alone and together, and puts them in force.
func enliven(rules []Rule) ([]liveRule, error) {
	sum := map[bool]float64{}
	var live []liveRule
	for _, r := range rules {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("rule %q: %w", r, err)
		}
		sum[r.Status] += r.Rate
		live = append(live, liveRule{Rule: r, left: r.Count})
	}
	if sum[false] > 1 || sum[true] > 1 {
		return nil, errors.New("rates add up to more than 1")
	}
	return live, nil
}

// choose returns the index of the rule for a call, or -1. chance is in [0, 1).
func choose(rules []liveRule, status bool, merchant string, chance float64) int {
	byRate, upTo := -1, 0.0
	for i := range rules {
		l := &rules[i]
		if l.Status != status || l.Merchant != "" && l.Merchant != merchant {
			continue
		}
		if l.Rate == 0 {
			if !l.usedUp() {
				return i
			}
			continue
		}
		from := upTo
		upTo += l.Rate
		if chance >= from && chance < upTo && !l.usedUp() {
			byRate = i
		}
	}
	return byRate
}

var markerText = regexp.MustCompile(`sim:([a-z0-9:*_,/-]+)`)

// readMarkers returns the steps of all markers in a text, in order.
func readMarkers(s string) ([]Rule, error) {
	if !strings.Contains(s, "sim:") {
		return nil, nil
	}
	var steps []Rule
	for _, m := range markerText.FindAllStringSubmatch(s, -1) {
		for word := range strings.SplitSeq(strings.Trim(m[1], ",-"), ",") {
			r, err := parseRule(strings.ReplaceAll(word, "_", "*"))
			if err != nil {
				return nil, fmt.Errorf("marker sim:%s: %w", word, err)
			}
			steps = append(steps, r)
		}
	}
	return steps, nil
}

// stepFor returns the step for the nth call of an order, counting from zero.
func stepFor(steps []Rule, status bool, nth uint64) (Rule, bool) {
	end := uint64(0)
	for _, r := range steps {
		if r.Status != status {
			continue
		}
		end += uint64(r.Count)
		if r.Count == 0 || nth < end {
			r.Count = 0
			return r, true
		}
	}
	return Rule{}, false
}
