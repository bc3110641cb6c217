package bench

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// A page is the report as one HTML file that needs nothing else: no script, no
// picture, no network.
type page struct {
	Title, Machine, When string
	Parts                []pagePart
}

type pagePart struct {
	Title  string
	Charts []pageChart
}

// A pageChart is one figure of all columns.
type pageChart struct {
	Name   string
	Bars   []pageBar
	Height int
}

// A pageBar is a column's median, and the runs it is the median of.
type pageBar struct {
	Name, Text string
	Length     int   // of the longest, in per mille
	Runs       []int // where each run would end
	Y          int
}

// barHeight is the height of a bar with its room.
const barHeight = 26

// writePage writes the page, whole or not at all.
func (o *Options) writePage(parts []part, all []measurement) error {
	var b bytes.Buffer
	data := page{Title: o.title(), Machine: fmt.Sprintf("%s, %s/%s, %d CPUs", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
		When: time.Now().UTC().Format(time.RFC3339), Parts: pageParts(parts, all)}
	if err := pageTemplate.Execute(&b, data); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(o.HTML), ".paylink-*.html")
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b.Bytes())
	if err := first(err, f.Chmod(0o644), f.Close(), os.Rename(f.Name(), o.HTML)); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}

func pageParts(parts []part, all []measurement) (out []pagePart) {
	for _, p := range parts {
		pp := pagePart{Title: p.title}
		for _, f := range figuresOf(p.name) {
			pp.Charts = append(pp.Charts, chartOf(f, p.columns(), all))
		}
		out = append(out, pp)
	}
	return out
}

// chartOf draws a figure of all columns on one scale, which begins at zero.
func chartOf(f figure, columns []string, all []measurement) pageChart {
	most := 0.0
	for _, name := range columns {
		for _, v := range valuesOf(f, name, all) {
			most = max(most, v)
		}
	}
	length := func(v float64) int { return int(math.Round(1000 * max(0, v) / max(most, 1e-12))) }
	c := pageChart{Name: f.name, Height: barHeight * len(columns)}
	for i, name := range columns {
		values := valuesOf(f, name, all)
		if len(values) == 0 {
			c.Bars = append(c.Bars, pageBar{Name: name, Text: "–", Y: barHeight * i})
			continue
		}
		is := median(values)
		b := pageBar{Name: name, Text: f.text(is), Length: length(is), Y: barHeight * i}
		if len(values) > 1 {
			for _, v := range values {
				b.Runs = append(b.Runs, length(v))
			}
		}
		c.Bars = append(c.Bars, b)
	}
	return c
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"add": func(a, b int) int { return a + b }}).Parse(pageText))
