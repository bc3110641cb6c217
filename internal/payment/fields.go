package payment

import (
	"fmt"
	"net/mail"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Kind is the type of a field's value. It also says which JSON types carry it.
type Kind int

const (
	Text    Kind = iota // JSON string
	Digits              // a whole number that is a name: JSON string or number
	Integer             // a whole number: JSON string or number
	Number              // a plain decimal: JSON string or number, never through a float
	Flag                // JSON boolean, or number 0 or 1; "0" or "1" on the wire
	URL                 // JSON string, absolute http or https
	Email               // JSON string, one bare address
	IP                  // JSON string, IPv4 or IPv6
	Time                // JSON string, RFC 3339
	Pairs               // JSON object, string → string
)

// A Field is one field of an intent, with its rule. Lengths count characters,
// not bytes; bounds are inclusive. Zero means "no such rule".
//
// Every field has a bound: of length, or by its pattern, its words or its kind.
// A text without a pattern holds no control character. The gateway's page forbids
// none, but U+0000 ends a text for many who would read it, and XML, in which the
// gateway speaks of these texts, can carry no other than tab and line ends.
type Field struct {
	Name     string // the intent's name; Init's is "pg_" + Name
	Kind     Kind
	Init     bool // a parameter of Init
	Required bool
	MaxChars int
	Min, Max string // of Integer and Number
	MaxFrac  int    // digits after the point, of Number; 0: any number
	Pattern  *regexp.Regexp
	Enum     []string
	Lines    bool // a text that may hold tabs and line ends
	Personal bool // personal data: shown nowhere
	Doc      string
	Example  string
}

// Limits of metadata.
const (
	MaxMetadataEntries = 16
	MaxMetadataBytes   = 2 << 10 // keys and values together
)

// MaxInit is how many bytes a whole Init has at most, as it is sent. No intent is
// judged by it: it follows from the bounds of the fields, and a test fails if
// somebody widens them beyond it.
const MaxInit = 32 << 10

// Bounds where the gateway's page gives none.
const (
	maxEmail  = 254 // RFC 5321: no longer address can be written to
	maxNumber = 32  // digits that nobody needs
	maxTime   = 64  // likewise
)

// Fields is every field of an intent, in the order of the gateway's page
// (mobile balance, Init), then our own.
var Fields = []Field{
	{Name: "intent_id", Required: true, MaxChars: 128, Pattern: regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`),
		Doc: "Identity of the intent: one intent, one outcome, ever. Letters, digits, dot, underscore, colon, hyphen; at most 128.", Example: "ord-2026-000123"},
	{Name: "merchant_id", Kind: Digits, Init: true, MaxChars: 18,
		Doc: "The gateway's number of the merchant. Default: the configured merchant.", Example: "540001"},
	{Name: "order_id", Init: true, MaxChars: 50,
		Doc: "The payment's id in the merchant's system, at most 50 characters, without control characters; keep it unique. Default: the intent id if it fits, else a stable digest of it.", Example: "550e8400-e29b-41d4-a716-446655440000"},
	{Name: "amount", Kind: Number, Init: true, Required: true, Min: "0.01", Max: "99999999", MaxFrac: 2,
		Doc: "Amount in currency, 0.01 to 99999999, at most two digits after the point; sent as written.", Example: "1500.00"},
	{Name: "currency", Init: true, Pattern: regexp.MustCompile(`^[A-Z]{3}$`),
		Doc: "ISO 4217 code, three capital letters. Default: the merchant's.", Example: "KZT"},
	{Name: "description", Init: true, Required: true, MaxChars: 1024, Lines: true,
		Doc: "What is paid for, at most 1024 characters, without control characters but tab and line ends; shown to the payer.", Example: "Mobile balance top-up"},
	{Name: "testing_mode", Kind: Flag, Init: true,
		Doc: "Create the payment in test mode.", Example: "1"},
	{Name: "lifetime", Kind: Integer, Init: true, Min: "300", Max: "604800",
		Doc: "Seconds during which the payment must be completed, 300 to 604800. Gateway's default: 86400.", Example: "3600"},
	{Name: "language", Init: true, Enum: []string{"ru", "en", "kz", "kg", "uz"},
		Doc: "Language of the payment page. Gateway's default: ru.", Example: "kz"},
	{Name: "user_id", Init: true, MaxChars: 50, Pattern: regexp.MustCompile(`^[a-zA-Z0-9_-]+$`),
		Doc: "The user's id in the merchant's system: letters, digits, underscore, hyphen; at most 50.", Example: "No65GFR755789T"},
	{Name: "user_ip", Kind: IP, Init: true, Personal: true,
		Doc: "The payer's IP address. Personal data: sent to the gateway, shown nowhere.", Example: "203.0.113.7"},
	{Name: "user_phone", Init: true, MaxChars: 15, Pattern: regexp.MustCompile(`^[0-9]+$`), Personal: true,
		Doc: "The payer's phone: digits with country code, no plus, at most 15. Personal data: sent to the gateway, shown nowhere.", Example: "77777777777"},
	{Name: "user_contact_email", Kind: Email, Init: true, MaxChars: maxEmail, Personal: true,
		Doc: "The payer's e-mail address, at most 254 characters. Personal data: sent to the gateway, shown nowhere.", Example: "payer@example.com"},
	{Name: "request_method", Init: true, Enum: []string{"GET", "POST", "XML"},
		Doc: "How the gateway calls the merchant's scripts.", Example: "POST"},
	{Name: "check_url", Kind: URL, Init: true, MaxChars: 255,
		Doc: "Called before the payment to ask whether it may be made. Absolute http(s), at most 255 characters, without spaces, user name or control characters.", Example: "https://shop.example/check"},
	{Name: "result_url", Kind: URL, Init: true, MaxChars: 255,
		Doc: "Called after the payment with its result. Absolute http(s), at most 255 characters, without spaces, user name or control characters.", Example: "https://shop.example/result"},
	{Name: "success_url", Kind: URL, Init: true, MaxChars: 255,
		Doc: "Where the payer goes after success. Absolute http(s), at most 255 characters, without spaces, user name or control characters.", Example: "https://shop.example/success"},
	{Name: "failure_url", Kind: URL, Init: true, MaxChars: 255,
		Doc: "Where the payer goes after failure. Absolute http(s), at most 255 characters, without spaces, user name or control characters.", Example: "https://shop.example/failure"},
	{Name: "site_url", Kind: URL, Init: true, MaxChars: 255,
		Doc: "Where the payer waits for the payment system's answer. Absolute http(s), at most 255 characters, without spaces, user name or control characters.", Example: "https://shop.example/return"},
	{Name: "success_url_method", Init: true, Enum: []string{"GET", "POST"},
		Doc: "Method of the button after success.", Example: "GET"},
	{Name: "failure_url_method", Init: true, Enum: []string{"GET", "POST"},
		Doc: "Method of the button after failure.", Example: "GET"},
	{Name: "param1", Init: true, MaxChars: 255, Lines: true, Doc: "Additional parameter, at most 255 characters, without control characters but tab and line ends.", Example: "Additional information"},
	{Name: "param2", Init: true, MaxChars: 255, Lines: true, Doc: "Additional parameter, at most 255 characters, without control characters but tab and line ends.", Example: "Additional information"},
	{Name: "param3", Init: true, MaxChars: 255, Lines: true, Doc: "Additional parameter, at most 255 characters, without control characters but tab and line ends.", Example: "Additional information"},
	{Name: "commission_discount", Kind: Flag, Init: true,
		Doc: "Use a discount on the commission.", Example: "1"},
	{Name: "commission_discount_fix", Kind: Number, Init: true, Min: "1", Max: "99999999", MaxChars: maxNumber,
		Doc: "A fixed discount amount, 1 to 99999999, at most 32 characters.", Example: "100"},
	{Name: "commission_discount_percentage", Kind: Number, Init: true, Min: "1", Max: "100", MaxChars: maxNumber,
		Doc: "A discount in percent, 1 to 100, at most 32 characters.", Example: "5"},
	{Name: "generate_qr", Kind: Flag, Init: true,
		Doc: "Ask for a QR code of the link, base64.", Example: "1"},
	{Name: "idempotency_key", Init: true, MaxChars: 255,
		Doc: "Unique per merchant, at most 255 characters, without control characters. Default: a UUID made from merchant and intent id.", Example: "550e8400-e29b-41d4-a716-446655440000"},
	{Name: "expires_at", Kind: Time, MaxChars: maxTime,
		Doc: "No link is made after this time. RFC 3339, at most 64 characters.", Example: "2026-11-23T12:00:00Z"},
	{Name: "created_at", Kind: Time, MaxChars: maxTime,
		Doc: "When the emitter made the intent. RFC 3339, at most 64 characters.", Example: "2026-11-23T11:00:00Z"},
	{Name: "metadata", Kind: Pairs,
		Doc: "String to string, at most 16 entries and 2 KiB; echoed in the outcome, never sent to the gateway.", Example: `{"cart":"42"}`},
}

var byName = func() map[string]*Field {
	m := make(map[string]*Field, len(Fields))
	for i := range Fields {
		m[Fields[i].Name] = &Fields[i]
	}
	return m
}()

// FieldNamed returns the field of that name, or nil.
func FieldNamed(name string) *Field { return byName[name] }

// Check returns every rule that a value breaks, each as a sentence without the
// value, or nil. What follows from a rule that is broken already is left out:
// bytes that are no UTF-8 have no length, a text that is no number no range.
// The value is never empty and is the text that Init would be told; Pairs are
// not checked here.
func (f *Field) Check(v string) []string {
	if !utf8.ValidString(v) {
		return []string{"must be valid UTF-8"}
	}
	var rules []string
	if f.Kind == Integer || f.Kind == Number {
		rules = f.checkNumber(v)
	} else if rule := f.checkKind(v); rule != "" {
		rules = append(rules, rule)
	}
	if n := utf8.RuneCountInString(v); f.MaxChars > 0 && n > f.MaxChars {
		rules = append(rules, fmt.Sprintf("must have at most %d characters, has %d", f.MaxChars, n))
	}
	if f.Pattern != nil && !f.Pattern.MatchString(v) {
		rules = append(rules, "must match "+f.Pattern.String())
	}
	if len(f.Enum) > 0 && !slices.Contains(f.Enum, v) {
		rules = append(rules, "must be one of "+strings.Join(f.Enum, ", "))
	}
	return rules
}

// checkKind checks what a text must look like to be of the field's kind.
func (f *Field) checkKind(v string) string {
	switch f.Kind {
	case Text:
		return f.checkText(v)
	case Digits:
		if !digits(v) || v[0] == '0' {
			return "must be a positive whole number without leading zeros"
		}
	case Flag:
		if v != "0" && v != "1" {
			return "must be true, false, 0 or 1"
		}
	case URL:
		return URLRule(v)
	case Email:
		if a, err := mail.ParseAddress(v); err != nil || a.Address != v || strings.ContainsFunc(v, unseen) {
			return "must be one bare e-mail address"
		}
	case IP:
		if a, err := netip.ParseAddr(v); err != nil || a.Zone() != "" {
			return "must be an IPv4 or IPv6 address"
		}
	case Time:
		if _, err := ParseTime(v); err != nil {
			return "must be an RFC 3339 time from the years 1970 to 9999, like 2026-11-23T12:00:00Z"
		}
	}
	return ""
}

// checkText looks for control characters, unless another rule knows every
// character that may be there.
func (f *Field) checkText(v string) string {
	switch {
	case f.Pattern != nil || len(f.Enum) > 0:
	case f.Lines && strings.ContainsFunc(v, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }):
		return "must not hold control characters other than tab and line ends"
	case !f.Lines && strings.ContainsFunc(v, unicode.IsControl):
		return "must not hold control characters"
	}
	return ""
}

func (f *Field) checkNumber(v string) []string {
	_, frac, err := Decimal(v)
	if err != nil {
		return []string{"must be a plain decimal number: no sign, exponent, leading zeros or spaces"}
	}
	if f.Kind == Integer && strings.Contains(v, ".") {
		return []string{"must be a whole number"}
	}
	var rules []string
	if f.MaxFrac > 0 && len(frac) > f.MaxFrac {
		rules = append(rules, fmt.Sprintf("must have at most %d digits after the point, has %d", f.MaxFrac, len(frac)))
	}
	if CompareDecimals(v, f.Min) < 0 || CompareDecimals(v, f.Max) > 0 {
		rules = append(rules, fmt.Sprintf("must be between %s and %s", f.Min, f.Max))
	}
	return rules
}
