package reconcile

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paylink/internal/event"
	"paylink/internal/facts"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
)

// TestEntriesSortByGroupKindAndPlace, and are read back as they were.
func TestEntriesSortByGroupKindAndPlace(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123).UTC()
	all := []entry{ // in the order that they must have
		{sort: deadLetter, at: spot{0, 9}, source: spot{1, 3}, flags: isNameless | inRange, word: "not_json", time: at},
		{sort: emitted, at: spot{1, 3}, flags: isNameless},
		{sort: emitted, at: spot{1, 300}, flags: isNameless, word: "empty"},
		{sort: outcome, at: spot{0, 1}, flags: isNameless | isGarbled, broken: "is no JSON"},
		{sort: outcome, at: spot{5, 1}, id: "a", flags: isCreated, source: spot{2, 1 << 40}, digest: event.Digest{1}, merchant: "540001", order: "a", amount: "1.50", currency: "KZT", payment: 1 << 33, time: at},
		{sort: deadLetter, at: spot{0, 1}, id: "a", source: spot{0, 5}, word: "conflict", order: "other"},
		{sort: emitted, at: spot{0, 255}, id: "a", order: "a", digest: event.Digest{2}},
		{sort: emitted, at: spot{0, 256}, id: "a"},
		{sort: emitted, at: spot{1, 0}, id: "a"},
		{sort: outcome, at: spot{0, 0}, id: "a-b", source: spot{-1, -1}},
		{sort: outcome, at: spot{0, 0}, id: "aa"},
	}
	var written []string
	for _, e := range all {
		written = append(written, string(e.append(nil)))
	}
	if !slices.IsSorted(written) {
		t.Errorf("the entries are not sorted: %q", written)
	}
	for i, s := range written {
		if diff := cmp.Diff(all[i], readEntry(s), cmp.AllowUnexported(entry{}, spot{})); diff != "" {
			t.Errorf("entry %d (-want +got):\n%s", i, diff)
		}
	}
	if groupOf(written[0]) != groupOf(written[1]) || groupOf(written[1]) == groupOf(written[2]) {
		t.Error("a nameless dead letter and its record are one group, and others are not")
	}
}

func FuzzEntriesAreReadBack(f *testing.F) {
	f.Add("id", "540001", "order", "1.00", "KZT", int64(5), int64(7))
	f.Fuzz(func(t *testing.T, id, merchant, order, amount, word string, offset, number int64) {
		e := entry{sort: outcome, id: id, merchant: merchant, order: order, amount: amount, word: word, payment: number, source: spot{3, offset}}
		if !named(id) {
			e.id, e.flags = "", isNameless
		}
		got := readEntry(string(e.append(nil)))
		cut := func(s string) string { return s[:min(len(s), maxText)] }
		if e.order != sameAsID && (got.id != e.id || got.merchant != cut(merchant) || got.order != cut(order) || got.word != cut(word) || got.payment != number || got.source != e.source) {
			t.Errorf("got %+v, want %+v", got, e)
		}
	})
}

// TestWhatIsLost: below the committed offset, and neither answered nor a repeat.
func TestWhatIsLost(t *testing.T) {
	in := func(offset int64, digest byte) entry {
		return entry{sort: emitted, id: "a", at: spot{0, offset}, digest: event.Digest{digest}}
	}
	out := func(source int64, digest byte) entry {
		return entry{sort: outcome, id: "a", at: spot{0, source}, source: spot{0, source}, digest: event.Digest{digest}, flags: inRange | isCreated}
	}
	dead := func(source int64) entry {
		return entry{sort: deadLetter, id: "a", at: spot{0, 0}, source: spot{0, source}, flags: inRange}
	}
	for _, tt := range []struct {
		name    string
		entries []entry
		lost    []int64
		waiting bool
		orphans int
	}{
		{"answered", []entry{out(1, 7), in(1, 1)}, nil, false, 0},
		{"a repeat", []entry{out(1, 7), in(1, 1), in(2, 1)}, nil, false, 0},
		{"a repeat that came first", []entry{out(2, 7), in(1, 1), in(2, 1)}, nil, false, 0},
		{"a conflict with its dead letter", []entry{out(1, 7), dead(2), in(1, 1), in(2, 2)}, nil, false, 0},
		{"a conflict without", []entry{out(1, 7), in(1, 1), in(2, 2)}, []int64{2}, false, 0},
		{"a conflict that is not read yet", []entry{out(1, 7), in(1, 1), in(200, 2)}, nil, false, 0},
		{"other content, the digest of the outcome", []entry{out(1, 2), in(1, 1), in(2, 2)}, nil, false, 0},
		{"answered before the range", []entry{out(-5, 7), in(1, 1)}, nil, false, 0},
		{"nobody answered", []entry{in(1, 1), in(2, 1)}, []int64{1, 2}, false, 0},
		{"nobody has read it", []entry{in(100, 1)}, nil, true, 0},
		{"one lost, one to come", []entry{in(1, 1), in(100, 1)}, []int64{1}, false, 0},
		{"buried", []entry{dead(1), in(1, 1)}, nil, false, 0},
		{"buried without a name", []entry{in(50, 1)}, nil, false, 0},
		{"garbled", []entry{{sort: outcome, id: "a", flags: isGarbled | inRange}, in(1, 1)}, nil, false, 0},
		{"of another record", []entry{out(3, 1), in(1, 1)}, nil, false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := &join{archive: &Archive{Range: Range{Committed: map[int32]int64{0: 100}}}, buried: map[int32][]int64{0: {50}}}
			j.spans = placesOf([]kafkaops.Span{{Topic: "in", Partition: 0, From: 0, To: 1000}})
			var g Group
			g.restart("a")
			for _, e := range tt.entries {
				g.add(e)
			}
			g.settle(j)
			var lost []int64
			for _, e := range g.lost {
				lost = append(lost, e.at.offset)
			}
			if !slices.Equal(lost, tt.lost) || g.waiting != tt.waiting || len(g.orphans) != tt.orphans {
				t.Errorf("lost %v, waiting %v, %d orphans; want %v, %v, %d", lost, g.waiting, len(g.orphans), tt.lost, tt.waiting, tt.orphans)
			}
		})
	}
}

// TestTheRecordSaysWhoIsAsked: merchant and order are those of the record that was
// answered, whatever its outcome says, unless it does not say so itself any more.
func TestTheRecordSaysWhoIsAsked(t *testing.T) {
	in := func(offset int64, merchant, order string) facts.Fact {
		return facts.Fact{Kind: facts.Emitted, At: event.Place{Topic: "in", Offset: offset}, Intent: "a", Merchant: payment.MerchantID(merchant), OrderID: order, Amount: "1"}
	}
	ofDefault := in(1, "540002", "a")
	ofDefault.OfDefault = true
	out := facts.Fact{Kind: facts.Failed, Source: event.Place{Topic: "in", Offset: 1}, Intent: "a", Merchant: "540001", OrderID: "a", Amount: "2", Reason: "refused"}
	ofGone := out
	ofGone.Source.Offset = -1
	for _, tt := range []struct {
		name            string
		facts           []facts.Fact
		merchant, order string
		class           Class
	}{
		{"as the outcome says", []facts.Fact{out, in(1, "540001", "a")}, "540001", "a", Matched},
		{"another merchant than the outcome's", []facts.Fact{out, in(1, "540002", "a")}, "540002", "a", OtherMerchant},
		{"another order than the outcome's", []facts.Fact{out, in(1, "540001", "b")}, "540001", "b", Matched},
		{"the default merchant was another one", []facts.Fact{out, ofDefault}, "540001", "a", Matched},
		{"merchant and order break their rules", []facts.Fact{out, in(1, "", "")}, "540001", "a", Matched},
		{"a conflict came first", []facts.Fact{out, in(0, "540003", "c"), in(1, "540002", "b")}, "540002", "b", OtherMerchant},
		{"the record is gone", []facts.Fact{ofGone, in(2, "540002", "b")}, "540001", "a", Matched},
		{"no outcome", []facts.Fact{ofDefault}, "540002", "a", Waiting},
	} {
		j := &join{archive: &Archive{}, spans: placesOf([]kafkaops.Span{{Topic: "in", To: 10}}), buried: map[int32][]int64{}}
		var g Group
		g.restart("a")
		for _, f := range tt.facts {
			e, ok := j.entryOf(&f, nil)
			if !ok {
				t.Fatalf("%s: %+v is of no use", tt.name, f)
			}
			g.add(readEntry(string(e.append(nil))))
		}
		g.settle(j)
		m, ok := (&reconciler{archive: &Archive{Facts: &facts.Reader{}}, giveUpAfter: time.Hour}).matterOf(&g)
		if m.class != tt.class {
			t.Errorf("%s: %s, want %s", tt.name, m.class, tt.class)
		}
		if !ok || !m.ask || m.entry.merchant != tt.merchant || m.entry.order != tt.order {
			t.Errorf("%s: asked is %s for %s (%v); want %s for %s", tt.name, m.entry.merchant, m.entry.order, m.ask, tt.merchant, tt.order)
		}
		if out := g.answer(); out != nil && m.entry.amount != "2" {
			t.Errorf("%s: amount %s, want the outcome's", tt.name, m.entry.amount)
		}
	}
}

// TestOneIntentCannotTakeAllMemory: its records are counted, whatever their number.
func TestOneIntentCannotTakeAllMemory(t *testing.T) {
	var g Group
	g.restart("a")
	for i := range 3 * mostOfASort {
		g.add(entry{sort: outcome, id: "a", at: spot{0, int64(i)}})
	}
	if len(g.outcomes) != mostOfASort || g.count(outcome) != 3*mostOfASort {
		t.Errorf("%d held, %d counted", len(g.outcomes), g.count(outcome))
	}
}

func TestSumsAreExact(t *testing.T) {
	s, want := sums{}, new(big.Rat)
	for i := range 1000 {
		for _, amount := range []string{"99999999", "0.1", "0.01", "12345678.99", "no money", "1.234", ""} {
			s.add(sumKey{"m", "KZT", Class(i % 2)}, amount)
		}
		want.Add(want, big.NewRat(99999999*100+10+1+1234567899, 100))
	}
	all := s.list()
	if len(all) != 2 || all[0].Count != 3500 {
		t.Fatalf("sums %+v", all)
	}
	got := new(big.Rat)
	for _, sum := range all {
		r, _ := new(big.Rat).SetString(sum.Amount)
		got.Add(got, r)
	}
	if got.Cmp(want) != 0 {
		t.Errorf("sum %s, want %s", got.FloatString(2), want.FloatString(2))
	}
	for n, text := range map[int64]string{0: "0.00", 5: "0.05", 70: "0.70", 123456: "1234.56"} {
		if got := decimal(big.NewInt(n)); got != text {
			t.Errorf("decimal(%d) = %s, want %s", n, got, text)
		}
	}
}

// TestSumsOfMadeUpMerchantsAreBounded.
func TestSumsOfMadeUpMerchantsAreBounded(t *testing.T) {
	s := sums{}
	for i := range 2 * maxSums {
		s.add(sumKey{fmt.Sprint(i), "KZT", Matched}, "1")
	}
	others := s[sumKey{"others", "", Matched}]
	if len(s) != maxSums+1 || others == nil || others.count != maxSums {
		t.Errorf("%d sums, others %+v", len(s), others)
	}
}

// TestTheGatewayDecides is the table of what an answer makes of an intent.
func TestTheGatewayDecides(t *testing.T) {
	paid := entry{payment: 7, amount: "1.50", currency: "KZT"}
	found := func(id int64, amount, currency string) *answer {
		return &answer{Found: true, Payment: id, State: "new", Amount: amount, Currency: currency}
	}
	for _, tt := range []struct {
		name string
		m    matter
		a    *answer
		want Class
	}{
		{"created, the same", matter{class: Matched, state: created, ask: true, entry: paid}, found(7, "1.5", "KZT"), Matched},
		{"created, the merchant's own currency", matter{class: Matched, state: created, ask: true, entry: entry{payment: 7, amount: "1.5"}}, found(7, "1.50", "USD"), Matched},
		{"created, not there", matter{class: Matched, state: created, ask: true, entry: paid}, &answer{}, NotAtGateway},
		{"created, another payment of another amount", matter{class: Matched, state: created, ask: true, entry: paid}, found(8, "2", "KZT"), OtherPayment},
		{"created, another amount", matter{class: Matched, state: created, ask: true, entry: paid}, found(7, "1.51", "KZT"), Differs},
		{"created, another currency", matter{class: Matched, state: created, ask: true, entry: paid}, found(7, "1.50", "USD"), Differs},
		{"created, no answer", matter{class: Matched, state: created, ask: true, entry: paid}, nil, Unasked},
		{"failed, not there", matter{class: Matched, state: failed, ask: true}, &answer{}, Matched},
		{"failed, there", matter{class: Matched, state: failed, ask: true}, found(7, "1", "KZT"), FailedButExists},
		{"failed, no answer", matter{class: Matched, state: failed, ask: true}, nil, Unasked},
		{"waiting, not there", matter{class: Waiting, ask: true}, &answer{}, Waiting},
		{"waiting, there", matter{class: Waiting, ask: true}, found(7, "1", "KZT"), WaitingButExists},
		{"waiting, no answer", matter{class: Waiting, ask: true}, nil, Waiting},
		{"no outcome, there", matter{class: NoOutcome, ask: true}, found(7, "1", "KZT"), NoOutcomeButExists},
		{"no outcome, not there", matter{class: NoOutcome, ask: true}, &answer{}, NoOutcome},
		{"of another merchant, the same", matter{class: OtherMerchant, state: created, ask: true, entry: paid}, found(7, "1.5", "KZT"), OtherMerchant},
		{"of another merchant, not there", matter{class: OtherMerchant, state: created, ask: true, entry: paid}, &answer{}, NotAtGateway},
		{"of another merchant, failed, not there", matter{class: OtherMerchant, state: failed, ask: true}, &answer{}, OtherMerchant},
		{"nothing to ask", matter{class: SecondOutcome}, nil, SecondOutcome},
	} {
		if got, detail, _ := tt.m.decide(tt.a, "why"); got != tt.want {
			t.Errorf("%s: %s (%s), want %s", tt.name, got, detail, tt.want)
		}
	}
	if !payment.Money("1.5").Equal("1.50") {
		t.Error("amounts are compared as numbers")
	}
}

func TestPagesEscapeWhatRecordsSay(t *testing.T) {
	p := &Page{}
	for range maxLines + 3 {
		p.Add(Difference{Class: "differs", Intent: "a", Detail: `</td><script>alert("1")</script>`})
	}
	var b bytes.Buffer
	sum := &Summary{Classes: map[string]int{"differs": maxLines + 3, "matched": 1}, Sums: []Sum{{Merchant: "<b>", Class: "differs", Count: 1, Amount: "1.00"}}}
	if err := pageTemplate.Execute(&b, p.data(sum, Range{})); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if strings.Contains(page, "<script>") || strings.Contains(page, "<b>\n") || !strings.Contains(page, "3 more are in the output") || strings.Count(page, "<tr><td>differs") != maxLines {
		t.Errorf("the page is not as it should be: %.2000s", page)
	}
}
