package tell

import (
	"bytes"
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
