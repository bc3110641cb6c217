// Package tell is how the operator's verbs speak: rows as a table, as JSON lines
// or as CSV, and progress on a terminal or in plain lines.
package tell

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"text/tabwriter"
	"unicode"
)

// A Format is the form of a verb's output.
type Format string

// The formats.
const (
	Table Format = "table" // for people: columns, then the summary
	JSON  Format = "json"  // one object per line, the summary last
	CSV   Format = "csv"   // a head, then the rows; no summary. No text is a formula: see inert
)

// A Summary is the last thing that a verb says. Lines is how a table shows it.
type Summary interface{ Lines() []string }

// A Printer prints rows. Rows are structs, all of one type, whose JSON names are
// the columns; a field tagged `tell:"-"` is for JSON alone. It is not for
// concurrent use.
type Printer struct {
	format Format
	out    io.Writer
	json   *json.Encoder
	csv    *csv.Writer
	table  *tabwriter.Writer
	headed bool
	rows   int
	parts  int // that a table has behind it
}

// NewPrinter returns a Printer. Close ends it.
func NewPrinter(out io.Writer, f Format) *Printer {
	p := &Printer{format: f, out: out}
	switch f {
	case JSON:
		p.json = json.NewEncoder(out)
		p.json.SetEscapeHTML(false)
	case CSV:
		p.csv = csv.NewWriter(out)
	default:
		p.table = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	}
	return p
}

// tableBlock is after how many rows a table is aligned anew, so that a long one
// is neither held in memory nor waited for.
const tableBlock = 1000

// Row prints one row.
func (p *Printer) Row(row any) error {
	if p.format == JSON {
		return p.json.Encode(row)
	}
	names, cells := columns(row, p.format == Table)
	if !p.headed {
		p.headed = true
		if p.parts > 0 {
			fmt.Fprintln(p.out)
		}
		if err := p.cells(names); err != nil {
			return err
		}
	}
	if err := p.cells(cells); err != nil {
		return err
	}
	if p.rows++; p.table != nil && p.rows%tableBlock == 0 {
		return p.table.Flush()
	}
	return nil
}

// Head prints the head of a CSV that may have no row.
func (p *Printer) Head(row any) error {
	if p.format != CSV || p.headed {
		return nil
	}
	p.headed = true
	names, _ := columns(row, false)
	return p.cells(names)
}

// Summary prints the last line, and ends what came before it: rows that follow are
// the next part, with a summary of their own.
func (p *Printer) Summary(s Summary) error {
	if err := p.Close(); err != nil {
		return err
	}
	switch p.format {
	case JSON:
		return p.json.Encode(s)
	case CSV:
		return nil
	}
	if p.rows > 0 {
		fmt.Fprintln(p.out)
	}
	for _, line := range s.Lines() {
		if _, err := fmt.Fprintln(p.out, clean(line)); err != nil {
			return err
		}
	}
	p.headed, p.rows, p.parts = false, 0, p.parts+1
	return nil
}

// Close writes what is held back.
func (p *Printer) Close() error {
	switch p.format {
	case CSV:
		p.csv.Flush()
		return p.csv.Error()
	case JSON:
		return nil
	}
	return p.table.Flush()
}

func (p *Printer) cells(cells []string) error {
	if p.csv != nil {
		for i, c := range cells {
			cells[i] = inert(c)
		}
		return p.csv.Write(cells)
	}
	for i, c := range cells {
		cells[i] = clean(c)
		if cells[i] == "" {
			cells[i] = "-"
		}
	}
	_, err := fmt.Fprintln(p.table, strings.Join(cells, "\t"))
	return err
}

// columns returns names and values of a row. In a table the column "kind" is left
// out: all rows have the same.
func columns(row any, table bool) (names, cells []string) {
	v := reflect.Indirect(reflect.ValueOf(row))
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || f.Tag.Get("tell") == "-" || table && name == "kind" {
			continue
		}
		names, cells = append(names, name), append(cells, cell(v.Field(i)))
	}
	return names, cells
}

func cell(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case string:
		return x
	case fmt.Stringer:
		return x.String()
	}
	switch k := v.Kind(); {
	case k == reflect.String:
		return v.String()
	case (k == reflect.Map || k == reflect.Slice) && v.IsNil():
		return ""
	case k == reflect.Map || k == reflect.Slice || k == reflect.Struct:
		b, err := json.Marshal(v.Interface())
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	return fmt.Sprint(v.Interface())
}

// number is what a spreadsheet takes for a number, and nothing else.
var number = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`)

// inert puts a quote before a text that a spreadsheet would take for a formula: one
// that begins with = + - @, a tab or a line's end, after quotes or none, and is no number. So
// OWASP has it (CSV injection). Taking one quote away from these gives the text back.
func inert(s string) string {
	if text := strings.TrimLeft(s, "'"); text == "" || !strings.ContainsRune("=+-@\t\r\n", rune(text[0])) || number.MatchString(s) {
		return s
	}
	return "'" + s
}

// clean replaces what a terminal would obey, and what would break a line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf) {
			return '·'
		}
		return r
	}, s)
}
