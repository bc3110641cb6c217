package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// A figure is one row of the table: how to take it, how to write it.
type figure struct {
	part, name string
	of         func(measurement) float64
	text       func(float64) string
}

var figures = []figure{
	{"backlog", "outcomes/s", func(m measurement) float64 { return m.PerSecond }, whole},
	{"backlog", "CPU per intent", func(m measurement) float64 { return float64(m.CPU) }, micros},
	{"backlog", "allocations per intent", func(m measurement) float64 { return m.Allocs }, whole},
	{"backlog", "bytes per intent", func(m measurement) float64 { return m.Bytes }, whole},
	{"backlog", "peak memory", func(m measurement) float64 { return float64(m.PeakRSS) }, mebibytes},
	{"backlog", "start to first outcome", func(m measurement) float64 { return float64(m.StartUp) }, millis},
	{"schedule", "p50", func(m measurement) float64 { return float64(m.P50) }, millis},
	{"schedule", "p99", func(m measurement) float64 { return float64(m.P99) }, millis},
	{"schedule", "p99.9", func(m measurement) float64 { return float64(m.P999) }, millis},
	{"schedule", "maximum", func(m measurement) float64 { return float64(m.Max) }, millis},
	{"schedule", "CPU per intent", func(m measurement) float64 { return float64(m.CPU) }, micros},
	{"schedule", "outcomes/s", func(m measurement) float64 { return m.PerSecond }, whole},
}

func whole(v float64) string     { return fmt.Sprintf("%.0f", v) }
func micros(v float64) string    { return fmt.Sprintf("%.1f µs", v/1e3) }
func millis(v float64) string    { return fmt.Sprintf("%.1f ms", v/1e6) }
func mebibytes(v float64) string { return fmt.Sprintf("%.1f MiB", v/(1<<20)) }

// print writes the table: medians of the runs, and how two loops compare; of
// more, how each does to the first.
func (o *Options) print(out io.Writer, loops []string, all []measurement) error {
	var b strings.Builder
	fmt.Fprintln(&b, o.title())
	part := ""
	for _, f := range figures {
		if !slices.ContainsFunc(all, func(m measurement) bool { return m.Part == f.part }) {
			continue
		}
		if f.part != part {
			part = f.part
			fmt.Fprintf(&b, "\n%-42s", o.partTitle(part))
			for _, loop := range loops {
				fmt.Fprintf(&b, "%*s", width(loops), loop)
			}
			if len(loops) == 2 {
				fmt.Fprintf(&b, "%8s", "ratio")
			}
			fmt.Fprintln(&b)
		}
		fmt.Fprintln(&b, row(f, loops, all))
	}
	fmt.Fprintln(&b)
	for _, loop := range loops {
		twice, repeated := 0, 0
		for _, m := range all {
			if m.Loop == loop {
				twice, repeated = twice+m.Twice, repeated+m.RepeatedKeys
			}
		}
		fmt.Fprintf(&b, "%s: %d intents with two outcomes, %d calls with a known idempotency key\n", loop, twice, repeated)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (o *Options) partTitle(part string) string {
	if part == "backlog" {
		return "worked off at once"
	}
	return fmt.Sprintf("%.0f/s for %s, from the scheduled time", o.Rate, o.Duration)
}

func row(f figure, loops []string, all []measurement) string {
	s := fmt.Sprintf("  %-40s", f.name)
	for i, loop := range loops {
		text := f.text(median(valuesOf(f, loop, all)))
		if len(loops) > 2 && i > 0 {
			text += fmt.Sprintf(" %.2f", ratio(f, loop, loops[0], all))
		}
		s += fmt.Sprintf("%*s", width(loops), text)
	}
	if len(loops) == 2 {
		s += fmt.Sprintf("%8.2f", ratio(f, loops[0], loops[1], all))
	}
	return s
}

// ratio is the median of the ratios within each run, whose loops met the same
// machine; between runs it may have become another.
func ratio(f figure, loop, base string, all []measurement) float64 {
	over, under := valuesOf(f, loop, all), valuesOf(f, base, all)
	var ratios []float64
	for i := range min(len(over), len(under)) {
		if under[i] > 0 {
			ratios = append(ratios, over[i]/under[i])
		}
	}
	return median(ratios)
}

// width is that of a column: a ratio may stand beside the figure.
func width(loops []string) int {
	if len(loops) > 2 {
		return 16
	}
	return 14
}

// valuesOf are a loop's figures, run by run.
func valuesOf(f figure, loop string, all []measurement) (values []float64) {
	for _, m := range all {
		if m.Loop == loop && m.Part == f.part {
			values = append(values, f.of(m))
		}
	}
	return values
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// quantile returns the smallest value that at least the share q of the sorted
// values does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
