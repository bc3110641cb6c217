package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/google/go-cmp/cmp"
)

// manyMerchants is a file of so many merchants, each with a rate of its own. Entry i
// begins in line 1+3i.
func manyMerchants(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- id: %d\n  secret: "+canary+"-%d\n  rate: %d/s\n", 100_000+i, i, 1+i%50)
	}
	return b.String()
}

// TestOneMistakeAmongManyMerchantsIsOneLine: it names line and field, wherever the file
// was cut to be read, and quotes no secret.
func TestOneMistakeAmongManyMerchantsIsOneLine(t *testing.T) {
	const n = 3500
	file := manyMerchants(n)
	if len(file) < 3*pieceSize {
		t.Fatalf("%d bytes are not many pieces", len(file))
	}
	for i := range n {
		if i%1500 != 0 && i != n-1 {
			continue
		}
		is, line := fmt.Sprintf("- id: %d\n  secret: "+canary+"-%d\n  rate: %d/s\n", 100_000+i, i, 1+i%50), 1+3*i
		for _, c := range []struct{ entry, want string }{
			{strings.Replace(is, "/s", " a second", 1), fmt.Sprintf(`merchants.yaml line %d, rate: "%d a second" is no rate`, line+2, 1+i%50)},
			{strings.Replace(is, "rate", "rat", 1), fmt.Sprintf("merchants.yaml line %d: unknown key rat of a merchant; the nearest known one is rate", line+2)},
			{strings.Replace(is, "- id: 1", "- id: x", 1), fmt.Sprintf(`merchants.yaml line %d, id: "x`, line)},
			{strings.Replace(is, "secret: ", "secret: \"", 1), "is not valid YAML"},
			{strings.Replace(is, "  secret: "+canary, "  secret_file: nowhere", 1), fmt.Sprintf("merchants.yaml line %d, merchant %d: secret file: ", line, 100_000+i)},
			{is + is, fmt.Sprintf("merchants.yaml line %d: merchant %d is listed twice", line+3, 100_000+i)},
		} {
			_, err := parseMerchants("merchants.yaml", []byte(strings.Replace(file, is, c.entry, 1)), Merchant{})
			switch {
			case err == nil:
				t.Errorf("entry %d, %q: taken", i, c.want)
			case !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), canary):
				t.Errorf("entry %d: error %q, want %q", i, err, c.want)
			}
		}
	}
}

// TestAListInPiecesIsTheSameList: however it is laid out.
func TestAListInPiecesIsTheSameList(t *testing.T) {
	items := func(at, text string) []string {
		t.Helper()
		var all []string
		for p, piece := range pieces("f", []byte(text), map[string]int{"whole": len(text), "pieces": 1}[at]) {
			body, err := parseYAML(p, piece)
			if err != nil {
				return append(all, err.Error())
			}
			seq, ok := body.(*ast.SequenceNode)
			if !ok {
				return append(all, "no list")
			}
			for _, item := range seq.Values {
				entries, err := mapping(p, item)
				if err != nil {
					all = append(all, err.Error())
				}
				for _, e := range entries {
					g, err := e.given(p)
					all = append(all, fmt.Sprint(g, err))
				}
			}
		}
		return all
	}
	for name, c := range map[string]struct {
		text   string
		pieces int
	}{
		"plain":                {"- id: 1\n  a: x\n- id: 2\n  a: y\n- id: 3\n", 3},
		"flow items":           {"- {id: 1, a: x}\n- {id: 2}\n", 2},
		"comments":             {"# all\n\n---\n# first\n- id: 1\n# - id: 7\n- id: 2 # - id: 8\n", 2},
		"indented":             {"  - id: 1\n    a:\n    - x\n    - y\n  - id: 2\n", 2},
		"lists within":         {"- id: 1\n  a:\n  - x\n  - y\n- id: 2\n  a: [x, y]\n", 2},
		"texts of many lines":  {"- id: 1\n  a: |\n   - x\n   - id: 9\n- id: 2\n  a: \"x\n  - y\"\n- id: 3\n", 3},
		"no newline at end":    {"- id: 1\n- id: 2", 2},
		"dash alone":           {"-\n  id: 1\n-\n  id: 2\n", 1},
		"JSON":                 {"[{\"id\": 1},\n{\"id\": 2}]\n", 1},
		"two documents":        {"- id: 1\n---\n- id: 2\n", 1},
		"a document that ends": {"- id: 1\n...\n- id: 2\n", 1},
		"a mapping":            {"id: 1\nb: 2\n", 1},
		"no mapping":           {"- id: 1\n- 2\n- x\n", 3},
		"nothing":              {"", 0},
	} {
		n := 0
		for range pieces("f", []byte(c.text), 1) {
			n++
		}
		if n != c.pieces {
			t.Errorf("%s: %d pieces, want %d", name, n, c.pieces)
		}
		if diff := cmp.Diff(items("whole", c.text), items("pieces", c.text)); diff != "" {
			t.Errorf("%s: whole (-) and in pieces (+):\n%s", name, diff)
		}
	}
}

// BenchmarkMerchantsFile reads a file of many merchants, and one with a mistake in its
// last entry.
func BenchmarkMerchantsFile(b *testing.B) {
	for _, n := range []int{1, 10_000, 100_000} {
		for _, mistake := range []string{"", "last"} {
			name := filepath.Join(b.TempDir(), "merchants.yaml")
			if err := os.WriteFile(name, []byte(manyMerchants(n)+mistake), 0o600); err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprint(n, mistake), func(b *testing.B) {
				g, began := Gateway{MerchantsFile: name, URL: "https://gateway.example"}, processorTime(b)
				for b.Loop() {
					if _, err := g.LoadMerchants(); (err == nil) != (mistake == "") {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((processorTime(b)-began).Microseconds())/1000/float64(b.N), "cpu_ms/op")
			})
		}
	}
}
