package console

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// words are what the pages can say.
var words = template.FuncMap{
	"since": since, "until": until, "thousands": thousands, "groups": groups, "clock": clock, "short": short, "brief": brief,
	"figure": figure, "label": label, "seconds": seconds, "ranges": ranges, "quote": quote, "lane": laneLevel,
	"money": money, "others": others, "first": firstOf[Outcome], "firstDead": firstOf[DeadLetter],
}

// A Verdict is the state in one word and one sentence.
type Verdict struct {
	Class Level
	Word  string
	Text  string
}

// verdict says what the operator must know first. Nothing is well while something of
// the last hour is not.
func verdict(s State) Verdict {
	switch {
	case len(s.Alarms) > 0:
		return Verdict{Bad, "Alarm", count(len(s.Alarms), "thing needs", "things need") + " a person" + map[Level]string{
			Wait: "; perhaps money is at risk", Bad: "; money is at risk",
		}[money(s).Class]}
	case !s.Ready:
		return Verdict{Wait, "Not ready", firstReason(s.Checks)}
	}
	if level, text := unwell(s.Risks); text != "" {
		return Verdict{level, "Not all well", text}
	}
	for _, p := range s.Partitions {
		if !p.Healthy {
			return Verdict{Wait, "Working", fmt.Sprintf("partition %d is %s", p.Number, p.State)}
		}
	}
	if len(s.Partitions) == 0 {
		return Verdict{Wait, "Idle", "no partition is assigned to this replica"}
	}
	return Verdict{Good, "All well", count(len(s.Partitions), "partition", "partitions") + " in hand, nothing went wrong in the last hour"}
}

// unwell names what is not well, and how bad the worst of it is.
func unwell(all []Risk) (worst Level, text string) {
	var what []string
	worst = Wait
	for _, r := range all {
		if r.N == 0 || r.Level == Good {
			continue
		}
		if r.Level == Bad {
			worst = Bad
		}
		what = append(what, thousands(r.N)+" "+r.Name)
	}
	return worst, strings.Join(what, "; ")
}

// money answers whether money is at risk.
func money(s State) Verdict {
	level, text := unwell(others(s.Risks, true))
	switch {
	case text == "" && !s.Ready:
		return Verdict{Wait, "Not known", "This replica is not ready: what waits in its partitions, it does not know."}
	case text == "":
		return Verdict{Good, "No", "Nothing in this replica's hands puts money at risk."}
	case level == Bad:
		return Verdict{Bad, "Yes", "Somebody must look at these, or a payer may pay twice, or not at all."}
	}
	return Verdict{Wait, "Perhaps", "These should pass by themselves. If they do not, look at what they wait for."}
}

// others returns the risks that are about money, or those that are not.
func others(all []Risk, money bool) (out []Risk) {
	for _, r := range all {
		if r.Money == money {
			out = append(out, r)
		}
	}
	return out
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
	return lasting(now.Sub(t))
}

// until writes how long it takes to t.
func until(now, t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	if !t.After(now) {
		return "now"
	}
	return "in " + lasting(t.Sub(now))
}

func lasting(d time.Duration) string {
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

// seconds writes a duration in seconds.
func seconds(d time.Duration) string {
	if d < 10*time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
	}
	return figure(d.Seconds()) + " s"
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
func short(s string) string { return cut(s, 24, 13) }

// brief cuts the name of a member, which has a long random part.
func brief(s string) string { return cut(s, 16, 4) }

// cut leaves so many letters of the begin and the end of a text.
func cut(s string, begin, end int) string {
	if r := []rune(s); len(r) > begin+end+3 {
		return string(r[:begin]) + "…" + string(r[len(r)-end:])
	}
	return s
}

// ranges writes rising numbers, runs of them as one: 0–3, 7.
func ranges(all []int32) string {
	var out []string
	for i := 0; i < len(all); {
		j := i
		for j+1 < len(all) && all[j+1] == all[j]+1 {
			j++
		}
		run := strconv.Itoa(int(all[i]))
		if j > i {
			run += "–" + strconv.Itoa(int(all[j]))
		}
		out = append(out, run)
		i = j + 1
	}
	return strings.Join(out, ", ")
}

// quote writes a text as one word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// firstOf returns the first n.
func firstOf[T any](n int, all []T) []T { return all[:min(n, len(all))] }

// label says a chart in words, for who cannot see it.
func label(c Chart) string {
	var out []string
	for _, l := range c.Lines {
		now := "not known now"
		if v := l.Now(); !math.IsNaN(v) {
			now = figure(v) + " now"
		}
		out = append(out, fmt.Sprintf("%s: %s, %s at most", l.Name, now, figure(l.Most())))
	}
	return fmt.Sprintf("%s in the last hour (%s). %s.", c.Title, c.Unit, strings.Join(out, "; "))
}

// A CounterGroup is counters under one heading.
type CounterGroup struct {
	Title    string
	Counters []Counter
}

// groups collects counters under their headings, in the order they come.
func groups(all []Counter) []CounterGroup {
	var out []CounterGroup
	at := map[string]int{}
	for _, c := range all {
		i, ok := at[c.Group]
		if !ok {
			i = len(out)
			at[c.Group] = i
			out = append(out, CounterGroup{Title: c.Group})
		}
		out[i].Counters = append(out[i].Counters, c)
	}
	return out
}
