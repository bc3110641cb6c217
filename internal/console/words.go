package console

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Verdict is the state in one word and one sentence.
type Verdict struct {
	Class string // good, wait, bad: colour of the headline
	Word  string
	Text  string
}

// verdict says what the operator must know first.
func verdict(s State) Verdict {
	switch {
	case len(s.Alarms) > 0:
		return Verdict{"bad", "Alarm", count(len(s.Alarms), "thing needs", "things need") + " a person"}
	case !s.Ready:
		return Verdict{"wait", "Not ready", firstReason(s.Checks)}
	}
	for _, p := range s.Partitions {
		if !p.Healthy {
			return Verdict{"wait", "Working", fmt.Sprintf("partition %d is %s", p.Number, p.State)}
		}
	}
	if len(s.Partitions) == 0 {
		return Verdict{"wait", "Idle", "no partition is assigned to this replica"}
	}
	return Verdict{"good", "All well", count(len(s.Partitions), "partition", "partitions") + " in hand"}
}

func firstReason(checks []Check) string {
	for _, c := range checks {
		if !c.OK {
			return c.Name + ": " + c.Reason
		}
	}
	return "the service is not ready"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// since writes how long ago t was, in its two largest units.
func since(now, t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// thousands writes a number with thin spaces between its thousands.
func thousands(v any) string {
	s := fmt.Sprint(v)
	if s == "-1" {
		return "?"
	}
	var b strings.Builder
	for i, r := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u2009')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// clock writes a time of the day in UTC, as logs have it.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// short cuts a long identity in its middle.
func short(s string) string {
	if len(s) <= 48 {
		return s
	}
	return s[:30] + "…" + s[len(s)-15:]
}

// A Group is counters under one heading.
type Group struct {
	Title    string
	Counters []Counter
}

// groups collects counters under their headings, in the order they come.
func groups(all []Counter) []Group {
	var out []Group
	at := map[string]int{}
	for _, c := range all {
		i, ok := at[c.Group]
		if !ok {
			i = len(out)
			at[c.Group] = i
			out = append(out, Group{Title: c.Group})
		}
		out[i].Counters = append(out[i].Counters, c)
	}
	return out
}
