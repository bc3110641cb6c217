package reconcile

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"time"
)

// maxLines is how many differences a page shows: browsers bear no more. All of them
// are in the other outputs.
const maxLines = 2_000

// A Page is the report as one HTML file that needs nothing else: no script, no
// picture, no network. A nil Page is none.
type Page struct {
	file  string
	lines []Difference
	more  int
	ages  [len(ageNames)]int
}

// NewPage begins a page. Nothing is written before Write, so that a run that ends
// early leaves an older page as it is; but that the file can be made is tried at once.
func NewPage(file string) (*Page, error) {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("--html: %s is no file", file)
	}
	probe, err := os.CreateTemp(filepath.Dir(file), ".paylink-*.html")
	if err != nil {
		return nil, fmt.Errorf("--html: %w", err)
	}
	probe.Close()
	return &Page{file: file}, os.Remove(probe.Name())
}

// Add adds a line.
func (p *Page) Add(d Difference) {
	if p == nil {
		return
	}
	p.ages[ageOf(d.AgeS)]++
	if len(p.lines) == maxLines {
		p.more++
		return
	}
	p.lines = append(p.lines, d)
}

// Write writes the page, whole or not at all.
func (p *Page) Write(s *Summary, r Range) error {
	if p == nil {
		return nil
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p.data(s, r)); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(p.file), ".paylink-*.html")
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b.Bytes())
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), p.file)
	}
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}

// ageNames are the columns of the chart of ages.
var ageNames = [...]string{"under 1 h", "under 6 h", "under 1 day", "under 7 days", "older"}

func ageOf(seconds int64) int {
	for i, bound := range [...]time.Duration{time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
		if seconds < int64(bound.Seconds()) {
			return i
		}
	}
	return len(ageNames) - 1
}

// A bar is one bar of a chart.
type bar struct {
	Name   string
	Count  int
	Length int // of the longest, in per mille
	Y      int
	Good   bool
}

func bars(names []string, counts []int) (all []bar) {
	most := 1
	for _, n := range counts {
		most = max(most, n)
	}
	for i, n := range counts {
		length := n * 1000 / most
		if n > 0 {
			length = max(length, 4) // one among a million is still seen
		}
		all = append(all, bar{Name: names[i], Count: n, Length: length, Y: 28 * i})
	}
	return all
}

type pageData struct {
	Summary          *Summary
	Begin            string
	Total, Different int
	Classes, Ages    []bar
	ClassesY, AgesY  int // heights
	Lines            []Difference
	More             int
}

func (p *Page) data(s *Summary, r Range) pageData {
	d := pageData{Summary: s, Begin: "the begin of the topics", Lines: p.lines, More: p.more}
	if !r.Begin.IsZero() {
		d.Begin = r.Begin.UTC().Format(time.RFC3339)
	}
	var names []string
	var counts []int
	var good []bool
	for c := range classes {
		n, may := s.Classes[c.String()]
		d.Total += n
		if c.IsDifference() {
			d.Different += n
		}
		if may {
			names, counts, good = append(names, c.String()), append(counts, n), append(good, !c.IsDifference())
		}
	}
	d.Classes, d.Ages = bars(names, counts), bars(ageNames[:], p.ages[:])
	for i := range d.Classes {
		d.Classes[i].Good = good[i]
	}
	d.ClassesY, d.AgesY = 28*len(d.Classes), 28*len(d.Ages)
	return d
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"id": func(n *int64) string {
		if n == nil {
			return ""
		}
		return fmt.Sprint(*n)
	},
	"or": func(s string) string {
		if s == "" {
			return "–"
		}
		return s
	},
	"add": func(a, b int) int { return a + b },
	"px":  func(perMille int) int { return perMille * 520 / 1000 },
}).Parse(pageText))
