package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A figure is one row of the table: how to take it, how to write it.
type figure struct {
	part, name string
	of         func(measurement) float64
	text       func(float64) string
}

// figures are the rows of all parts. A part whose name begins with another one's and
// a hyphen has the same.
var figures = []figure{
	{backlogName, "outcomes/s", perSecond, whole},
	{backlogName, "CPU per intent", cpuEach, micros},
	{backlogName, "allocations per intent", func(m measurement) float64 { return m.Allocs }, whole},
	{backlogName, "bytes per intent", func(m measurement) float64 { return m.Bytes }, whole},
	{backlogName, "peak memory", peak, mebibytes},
	{backlogName, "start to first outcome", func(m measurement) float64 { return float64(m.StartUp) }, millis},

	{scheduleName, "p50", func(m measurement) float64 { return float64(m.P50) }, millis},
	{scheduleName, "p99", func(m measurement) float64 { return float64(m.P99) }, millis},
	{scheduleName, "p99.9", func(m measurement) float64 { return float64(m.P999) }, millis},
	{scheduleName, "maximum", func(m measurement) float64 { return float64(m.Max) }, millis},
	{scheduleName, "p50 above the gateway's time", above(func(m measurement) time.Duration { return m.P50 }), millis},
	{scheduleName, "p99 above the gateway's time", above(func(m measurement) time.Duration { return m.P99 }), millis},
	{scheduleName, "CPU per intent", cpuEach, micros},
	{scheduleName, "outcomes/s", perSecond, whole},

	{"merchants", "outcomes/s", perSecond, whole},
	{"merchants", "CPU per intent", cpuEach, micros},
	{"merchants", "peak memory", peak, mebibytes},

	{"replicas", "outcomes/s", perSecond, whole},
	{"replicas", "CPU per intent", cpuEach, micros},
	{"replicas", "peak memory of one", peak, mebibytes},

	{"sparse", "p50 above the gateway's time", above(func(m measurement) time.Duration { return m.P50 }), millis},
	{"sparse", "p90 above the gateway's time", above(func(m measurement) time.Duration { return m.P90 }), millis},
	{"sparse", "p99 above the gateway's time", above(func(m measurement) time.Duration { return m.P99 }), millis},
	{"sparse", "maximum above the gateway's time", above(func(m measurement) time.Duration { return m.Max }), millis},
	{"sparse", "calls ahead of the rate, at most", func(m measurement) float64 { return m.Ahead }, tenths},

	{"telemetry", "CPU per intent", cpuEach, micros},
	{"telemetry", "outcomes/s", perSecond, whole},
	{"telemetry", "allocations per intent", func(m measurement) float64 { return m.Allocs }, whole},
	{"telemetry", "peak memory", peak, mebibytes},
	{"telemetry", "log lines per intent", given(func(m measurement) float64 { return m.Lines }), hundredths},
	{"telemetry", "scrapes", given(func(m measurement) float64 { return float64(m.Scrapes) }), whole},
	{"telemetry", "spans per intent", given(func(m measurement) float64 { return m.Spans }), hundredths},

	{"partitions", "CPU while idle, of a core", func(m measurement) float64 { return m.IdleCPU }, percent},
	{"partitions", "start to all partitions", given(func(m measurement) float64 { return float64(m.Ready) }), millis},
	{"partitions", "CPU until then", func(m measurement) float64 { return float64(m.CPUReady) }, millis},
	{"partitions", "start to first outcome", func(m measurement) float64 { return float64(m.StartUp) }, millis},
	{"partitions", "memory of each idle partition", func(m measurement) float64 { return m.BytesEach }, kibibytes},
	{"partitions", "peak memory", peak, mebibytes},

	{"ledger", "start to all partitions, or all fetched", func(m measurement) float64 { return float64(m.Ready) }, millis},
	{"ledger", "the same, with nothing answered", given(func(m measurement) float64 { return float64(m.ReadyEmpty) }), millis},
	{"ledger", "CPU until then", func(m measurement) float64 { return float64(m.CPUReady) }, millis},
	{"ledger", "bytes of each answered intent", given(func(m measurement) float64 { return m.BytesEach }), tenths},
	{"ledger", "peak memory", given(peak), mebibytes},
	{"ledger", "bytes fetched", given(func(m measurement) float64 { return float64(m.Fetched) }), mebibytes},
}

func perSecond(m measurement) float64 { return m.PerSecond }
func cpuEach(m measurement) float64   { return float64(m.CPU) }
func peak(m measurement) float64      { return float64(m.PeakRSS) }

// given is a figure that some columns have not.
func given(of func(measurement) float64) func(measurement) float64 {
	return func(m measurement) float64 {
		if v := of(m); v != 0 {
			return v
		}
		return math.NaN()
	}
}

// above is a time less the gateway's own.
func above(of func(measurement) time.Duration) func(measurement) float64 {
	return func(m measurement) float64 { return float64(max(0, of(m)-m.Gateway)) }
}

// figuresOf are the rows of a part.
func figuresOf(part string) (all []figure) {
	for _, f := range figures {
		if f.part == part || strings.HasPrefix(part, f.part+"-") {
			f.part = part
			all = append(all, f)
		}
	}
	return all
}

func whole(v float64) string      { return fmt.Sprintf("%.0f", v) }
func tenths(v float64) string     { return fmt.Sprintf("%.1f", v) }
func hundredths(v float64) string { return fmt.Sprintf("%.2f", v) }
func percent(v float64) string    { return fmt.Sprintf("%.2f %%", 100*v) }
func kibibytes(v float64) string  { return fmt.Sprintf("%.1f KiB", v/(1<<10)) }
func micros(v float64) string     { return fmt.Sprintf("%.1f µs", v/1e3) }
func millis(v float64) string     { return fmt.Sprintf("%.1f ms", v/1e6) }
func mebibytes(v float64) string  { return fmt.Sprintf("%.1f MiB", v/(1<<20)) }

// titleWidth is that of the first column.
const titleWidth = 42

// print writes the tables: medians of the runs, and how two columns compare; of
// more, how each does to the first.
func (o *Options) print(out io.Writer, parts []part, all []measurement) error {
	var b strings.Builder
	fmt.Fprintln(&b, o.title())
	for _, p := range parts {
		columns := p.columns()
		title := p.title
		if utf8.RuneCountInString(title) > titleWidth { // it has a line of its own
			fmt.Fprintf(&b, "\n%s", title)
			title = ""
		}
		fmt.Fprintf(&b, "\n%-*s", titleWidth, title)
		for _, name := range columns {
			fmt.Fprintf(&b, "%*s", width(columns), name)
		}
		if len(columns) == 2 {
			fmt.Fprintf(&b, "%8s", "ratio")
		}
		fmt.Fprintln(&b)
		for _, f := range figuresOf(p.name) {
			fmt.Fprintln(&b, row(f, columns, all))
		}
	}
	fmt.Fprintln(&b)
	for _, loop := range loopsOf(all) {
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

// columns are the names of a part's columns.
func (p part) columns() (names []string) {
	for _, t := range p.trials {
		names = append(names, t.name)
	}
	return names
}

// loopsOf are the names of all columns that settle intents.
func loopsOf(all []measurement) (names []string) {
	for _, m := range all {
		if m.Intents > 0 && !slices.Contains(names, m.Loop) {
			names = append(names, m.Loop)
		}
	}
	return names
}

func row(f figure, loops []string, all []measurement) string {
	s := fmt.Sprintf("  %-40s", f.name)
	for i, loop := range loops {
		values := valuesOf(f, loop, all)
		if len(values) == 0 {
			s += fmt.Sprintf("%*s", width(loops), "–")
			continue
		}
		text := f.text(median(values))
		if len(loops) > 2 && i > 0 && len(valuesOf(f, loops[0], all)) > 0 {
			text += fmt.Sprintf(" %.2f", ratio(f, loop, loops[0], all))
		}
		s += fmt.Sprintf("%*s", width(loops), text)
	}
	if len(loops) == 2 && len(valuesOf(f, loops[0], all)) > 0 && len(valuesOf(f, loops[1], all)) > 0 {
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
		return 18
	}
	return 14
}

// valuesOf are a loop's figures, run by run; none: it has no such figure.
func valuesOf(f figure, loop string, all []measurement) (values []float64) {
	for _, m := range all {
		if m.Loop != loop || m.Part != f.part {
			continue
		}
		if v := f.of(m); !math.IsNaN(v) {
			values = append(values, v)
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
