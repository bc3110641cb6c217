package console

import (
	"math"
	"strconv"
	"strings"
)

// A Chart is lines over the last hour.
type Chart struct {
	Title string
	Unit  string // of all its values
	Lines []Line
}

// A Line is the values of one thing, the oldest first, at equal steps up to now.
// What was not known then is NaN.
type Line struct {
	Name   string
	Values []float64
	Bad    bool // more than 0 deserves a look
}

// Steps is how many values a line has that covers the hour.
const Steps = 360

// The size of a chart's drawing. It is stretched to its place on the page.
const (
	chartWidth  = Steps
	chartHeight = 60
)

// Top is what the upper edge of the chart stands for.
func (c Chart) Top() float64 {
	most := 0.0
	for _, l := range c.Lines {
		most = max(most, l.Most())
	}
	return nice(most)
}

// Most is the highest value that is known, or 0.
func (l Line) Most() (most float64) {
	for _, v := range l.Values {
		if v > most { // never true of NaN
			most = v
		}
	}
	return most
}

// Hot reports whether the line deserves a look.
func (l Line) Hot() bool { return l.Bad && l.Most() > 0 }

// Now is the newest value; NaN: it is not known.
func (l Line) Now() float64 {
	if len(l.Values) == 0 {
		return math.NaN()
	}
	return l.Values[len(l.Values)-1]
}

// Path draws a line as the path of an SVG, under a top. Gaps stay gaps, and what does
// not change is drawn in one go.
func (l Line) Path(top float64) string {
	var b strings.Builder
	values := l.Values[max(0, len(l.Values)-Steps):]
	y := func(i int) string {
		if i < 0 || i >= len(values) || math.IsNaN(values[i]) {
			return ""
		}
		return short1(chartHeight - 1 - min(1, values[i]/top)*(chartHeight-2))
	}
	for i := range values {
		at, before := y(i), y(i-1)
		if at == "" || at == before && at == y(i+1) {
			continue
		}
		b.WriteByte("ML"[min(1, len(before))])
		b.WriteString(strconv.Itoa(chartWidth - len(values) + i))
		b.WriteByte(' ')
		b.WriteString(at)
		if before == "" && y(i+1) == "" { // alone: a dot
			b.WriteString("h1")
		}
	}
	return b.String()
}

// short1 writes a number with one decimal at most.
func short1(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// nice is the next of 1, 2, 3, 5, 10, 20, … at or above a value.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 3, 5} {
		if v <= m*base*(1+1e-9) {
			return m * base
		}
	}
	return 10 * base
}

// figure writes a value of a chart as people read it.
func figure(v float64) string {
	switch {
	case math.IsNaN(v):
		return "?"
	case v >= 100:
		return thousands(int64(math.Round(v)))
	case v >= 10 || v == 0:
		return short1(v)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}
