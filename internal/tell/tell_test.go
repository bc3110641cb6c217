package tell

import (
	"bytes"
	"encoding/csv"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type row struct {
	Kind string         `json:"kind"`
	ID   string         `json:"id"`
	N    int            `json:"n"`
	By   map[string]int `json:"by,omitempty"`
	Note *string        `json:"note" tell:"-"`
}

type sum struct {
	Kind string `json:"kind"`
	Rows int    `json:"rows"`
}

func (s sum) Lines() []string { return []string{"the end\x1b[31m"} }

func TestPrinterSpeaksEveryForm(t *testing.T) {
	for form, want := range map[Format]string{
		Table: "id      n  by\na<·>    1  -\nsecond  2  {\"x\":1}\n\nthe end·[31m\n\nid     n  by\nthird  3  -\n\nthe end·[31m\n",
		JSON: `{"kind":"row","id":"a<\n>","n":1,"note":null}` + "\n" + `{"kind":"row","id":"second","n":2,"by":{"x":1},"note":null}` + "\n" + `{"kind":"summary","rows":2}` + "\n" +
			`{"kind":"row","id":"third","n":3,"note":null}` + "\n" + `{"kind":"summary","rows":1}` + "\n",
		CSV: "kind,id,n,by\nrow,\"a<\n>\",1,\nrow,second,2,\"{\"\"x\"\":1}\"\nrow,third,3,\n",
	} {
		var out bytes.Buffer
		p := NewPrinter(&out, form)
		for i, part := range [][]row{{{Kind: "row", ID: "a<\n>", N: 1}, {Kind: "row", ID: "second", N: 2, By: map[string]int{"x": 1}}}, {{Kind: "row", ID: "third", N: 3}}} {
			for _, r := range part {
				if err := p.Row(r); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Summary(sum{"summary", 2 - i}); err != nil {
				t.Fatal(err)
			}
		}
		if got := out.String(); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", form, got, want)
		}
	}
}

// TestNoTextIsAFormula: a spreadsheet calculates nothing of what emitters and the gateway
// wrote; numbers stay numbers; and psql gets every text back, by the statement of deploy/verbs.md.
func TestNoTextIsAFormula(t *testing.T) {
	undo := regexp.MustCompile(`^'('*[=+@\t\r\n-])`)
	for text, want := range map[string]string{
		`=HYPERLINK("https://evil.example","click")`: `'=HYPERLINK("https://evil.example","click")`,
		"+1+cmd|' /C calc'!A0":                       "'+1+cmd|' /C calc'!A0",
		"-2+3":                                       "'-2+3",
		"@SUM(A1)":                                   "'@SUM(A1)",
		"\t=1":                                       "'\t=1",
		"\r=1":                                       "'\r=1",
		"\n=1":                                       "'\n=1",
		"'=1":                                        "''=1",
		"-order":                                     "'-order",
		"-":                                          "'-",
		"'tis":                                       "'tis",
		"'":                                          "'",
		"order=1":                                    "order=1",
		"é=1":                                        "é=1",
		"":                                           "",
		"-1500.00":                                   "-1500.00",
		"+77010000000":                               "+77010000000",
		"1500.00":                                    "1500.00",
	} {
		var out bytes.Buffer
		p := NewPrinter(&out, CSV)
		if err := errors.Join(p.Row(row{Kind: "row", ID: text, N: -5}), p.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(got) != 2 {
			t.Fatalf("%q: read back %q, %v", text, got, err)
		}
		if id, n := got[1][1], got[1][2]; id != want || n != "-5" {
			t.Errorf("%q and -5 are written as %q and %s, want %q and -5", text, id, n, want)
		}
		if back := undo.ReplaceAllString(want, "$1"); back != text {
			t.Errorf("%q is read back as %q", text, back)
		}
	}
}

// TestProgressWithoutATerminalIsPlainLines, now and then, with rate and time left.
func TestProgressWithoutATerminalIsPlainLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := NewProgress(&out, "searching", 1000)
		for range 30 {
			time.Sleep(time.Second)
			p.Add(10)
		}
		p.Done()
		if got, want := out.String(), "searching: 110 of 1000, 10/s, 1m29s left\nsearching: 220 of 1000, 10/s, 1m18s left\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		out.Reset()
		p = NewProgress(&out, "reading", -1)
		time.Sleep(time.Minute)
		p.Add(120)
		if got, want := out.String(), "reading: 120, 2/s\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		var none *Progress
		none.Add(1)
		none.Done()
		if strings.Contains(out.String(), "\r") {
			t.Error("a bar where no terminal is")
		}
	})
}
