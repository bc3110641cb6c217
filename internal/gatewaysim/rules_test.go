package gatewaysim

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRules(t *testing.T) {
	tests := []struct {
		in   string
		want []Rule
	}{
		{"", nil},
		{" , ", nil},
		{"lost-answer=0.05,http-500-before=0.02", []Rule{{Name: "lost-answer", Rate: 0.05}, {Name: "500-before", Rate: 0.02}}},
		{"500-after*2 lost-answer", []Rule{{Name: "500-after", Count: 2}, {Name: "lost-answer"}}},
		{"error:9999:401@540001=0.5*3", []Rule{{Name: "error", Arg: "9999:401", Merchant: "540001", Rate: 0.5, Count: 3}}},
		{"status/not-found", []Rule{{Status: true, Name: "not-found"}}},
		{"http-429:2s\n429-date:1m", []Rule{{Name: "429", Arg: "2s"}, {Name: "429-date", Arg: "1m"}}},
	}
	for _, tt := range tests {
		got, err := ParseRules(tt.in)
		if err != nil {
			t.Errorf("ParseRules(%q): %v", tt.in, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ParseRules(%q) (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestParseRulesRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"lost":                          `no unkindness "lost"; there are cut-before,`,
		"lost-answer=2":                 "rate is not above 0",
		"lost-answer=0":                 "rate is not above 0",
		"lost-answer=NaN":               "rate is not above 0",
		"lost-answer*0":                 "count is no positive number",
		"lost-answer*x":                 "count is no positive number",
		"lost-answer:1":                 "takes no argument",
		"error":                         "needs an argument",
		"error:x":                       "is no error code",
		"error:1:9":                     "is no HTTP status",
		"html:99":                       "is no HTTP status",
		"slow:5":                        "is no duration",
		"429:-1s":                       "is no duration",
		"huge-body:0":                   "is no number of MiB",
		"not-found":                     "for status calls only: status/not-found",
		"lost-answer=0.6,pending=0.6":   "add up to more than 1",
		"status/html=0.9,status/slow=1": "add up to more than 1",
	} {
		if _, err := ParseRules(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRules(%q): %v, want %q", in, err, want)
		}
	}
}

func TestTheFirstRuleThatFitsIsChosen(t *testing.T) {
	rules, err := ParseRules("pending=0.25,slow=0.25*1,empty-body@2=0.5,status/html,duplicate@3*1")
	if err != nil {
		t.Fatal(err)
	}
	live, err := enliven(rules)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		merchant string
		status   bool
		chance   float64
		used     int // index of a rule that is used up, or -1
		want     int
	}{
		{"1", false, 0, -1, 0},
		{"1", false, 0.24, -1, 0},
		{"1", false, 0.25, -1, 1},
		{"1", false, 0.25, 1, -1},
		{"1", false, 0.5, -1, -1},
		{"2", false, 0.99, -1, 2},
		{"2", true, 0.99, -1, 3},
		{"3", false, 0, -1, 4},
		{"3", false, 0, 4, 0},
	}
	for _, tt := range tests {
		rules := append([]liveRule(nil), live...)
		if tt.used >= 0 {
			rules[tt.used].left = 0
		}
		if got := choose(rules, tt.status, tt.merchant, tt.chance); got != tt.want {
			t.Errorf("merchant %s, status %v, chance %g, used up %d: rule %d, want %d", tt.merchant, tt.status, tt.chance, tt.used, got, tt.want)
		}
	}
}

func TestRulesTellsWhatIsLeft(t *testing.T) {
	b := newBench(t, Config{Rules: []Rule{{Name: "empty-body", Count: 3}, {Name: "pending", Rate: 0.5}}})
	b.in(initScript, order("o-1"))
	if got := joinRules(b.Rules()); got != "empty-body*2,pending=0.5" {
		t.Errorf("rules %q", got)
	}
	if err := b.Misbehave(Rule{Name: "nonsense"}); err == nil || len(b.Rules()) != 2 {
		t.Errorf("a bad rule: %v, %d rules, want an error and the old ones", err, len(b.Rules()))
	}
	b.Behave()
	if len(b.Rules()) != 0 {
		t.Errorf("rules %v, want none", b.Rules())
	}
}

func TestNewRefusesBadRules(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New took a rule that does not exist")
		}
	}()
	New(Config{Rules: []Rule{{Name: "nonsense"}}})
}

func FuzzParseRules(f *testing.F) {
	for _, seed := range []string{"lost-answer=0.05,500-before=0.02", "error:9999:401@540001=0.5*3", "status/not-found", "slow:2s*1", "x=*@:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rules, err := ParseRules(s)
		if err != nil {
			return
		}
		again, err := ParseRules(joinRules(rules))
		if err != nil || !cmp.Equal(rules, again) {
			t.Errorf("%q: %v became %v, %v", s, rules, again, err)
		}
	})
}

func FuzzReadMarkers(f *testing.F) {
	for _, seed := range []string{"sim:500-after*2,lost-answer", "a sim:slow:2s_1. sim:html", "sim:", "sim:-,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		steps, err := readMarkers(s)
		if err != nil && len(steps) > 0 {
			t.Errorf("%q: steps %v besides error %v", s, steps, err)
		}
		for _, r := range steps {
			if r.check() != nil {
				t.Errorf("%q: step %v cannot be played", s, r)
			}
		}
	})
}
