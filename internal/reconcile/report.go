package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"paylink/internal/payment"
)

// A Difference is a line of reconcile: one intent.
type Difference struct {
	Kind           string `json:"kind"`
	Class          string `json:"class"`
	Intent         string `json:"intent_id"`
	Merchant       string `json:"merchant_id"`
	Order          string `json:"order_id"`
	Amount         string `json:"amount"`
	Currency       string `json:"currency"`
	Payment        *int64 `json:"payment_id,omitempty"`
	GatewayPayment *int64 `json:"gateway_payment_id,omitempty"`
	AgeS           int64  `json:"age_s"`
	Detail         string `json:"detail"`
}

// A Sum is how many intents of a merchant and a currency have a class, and how much
// they are together, exact. An amount that is none is counted and not added.
type Sum struct {
	Merchant string `json:"merchant_id"`
	Currency string `json:"currency"` // empty: the merchant's own
	Class    string `json:"class"`
	Count    int    `json:"count"`
	Amount   string `json:"amount"`
}

// A Summary is the last line of reconcile.
type Summary struct {
	Kind       string         `json:"kind"`
	Until      time.Time      `json:"until"` // from when ages count
	Classes    map[string]int `json:"classes"`
	Sums       []Sum          `json:"sums"`
	Unanswered int            `json:"unanswered"` // look-ups that got no answer
}

// Clean reports whether all matched or waits, and all was asked.
func (s *Summary) Clean() bool {
	n := s.Unanswered
	for c := range classes {
		if c.IsDifference() {
			n += s.Classes[c.String()]
		}
	}
	return n == 0
}

// Lines is the summary for people.
func (s *Summary) Lines() []string {
	lines := []string{"until " + s.Until.Format(time.RFC3339)}
	for c := range classes {
		if n := s.Classes[c.String()]; n > 0 {
			lines = append(lines, fmt.Sprintf("%-22s %9d", c, n))
		}
	}
	if len(s.Sums) > 0 {
		lines = append(lines, "", fmt.Sprintf("%-12s %-8s %-22s %9s %20s", "merchant", "currency", "class", "count", "amount"))
	}
	for _, sum := range s.Sums {
		lines = append(lines, fmt.Sprintf("%-12s %-8s %-22s %9d %20s", cmp.Or(sum.Merchant, "-"), cmp.Or(sum.Currency, "-"), sum.Class, sum.Count, sum.Amount))
	}
	if s.Unanswered > 0 {
		lines = append(lines, "", fmt.Sprintf("%d look-ups got no answer; run again with the same --work-dir to ask only those", s.Unanswered))
	}
	return lines
}

// A sumKey is what sums are apart by.
type sumKey struct {
	merchant, currency string
	class              Class
}

func (k sumKey) compare(l sumKey) int {
	return cmp.Or(strings.Compare(k.merchant, l.merchant), strings.Compare(k.currency, l.currency), cmp.Compare(k.class, l.class))
}

// A sum is in hundredths.
type sum struct {
	count int
	total big.Int
}

// sums add up.
type sums map[sumKey]*sum

// maxSums bounds how many there are: an emitter may write any currency and merchant.
const maxSums = 10_000

func (s sums) add(k sumKey, amount string) {
	x := s[k]
	if x == nil {
		if len(s) >= maxSums {
			k.merchant, k.currency = "others", ""
		}
		if x = s[k]; x == nil {
			x = &sum{}
			s[k] = x
		}
	}
	x.count++
	whole, frac, err := payment.Decimal(amount)
	if err != nil || len(frac) > 2 {
		return
	}
	var n big.Int
	n.SetString(whole+frac+"00"[len(frac):], 10)
	x.total.Add(&x.total, &n)
}

func (s sums) list() []Sum {
	all := make([]Sum, 0, len(s))
	for _, k := range slices.SortedFunc(maps.Keys(s), sumKey.compare) {
		all = append(all, Sum{k.merchant, k.currency, k.class.String(), s[k].count, decimal(&s[k].total)})
	}
	return all
}

// decimal writes hundredths with two decimals.
func decimal(n *big.Int) string {
	s := fmt.Sprintf("%03d", n)
	return s[:len(s)-2] + "." + s[len(s)-2:]
}
