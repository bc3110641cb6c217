package freedompay

import (
	"strings"
	"testing"
)

func TestDescription(t *testing.T) {
	long := strings.Repeat("ж", 300)
	tests := []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"plain", "Сумма слишком мала (min 10.00)", "Сумма слишком мала (min 10.00)"},
		{"control characters", "a\r\n\x1b[31mb\u202ec\u00a0d", "a   [31mb c d"},
		{"longest", long[:2*256], long[:2*256]},
		{"too long", long, long[:2*255] + "…"},
		{"phone", "phone 77071234567 blocked", "phone *** blocked"},
		{"phone with plus", "phone +77071234567.", "phone +***."},
		{"phone, punctuated", "phone +7 (707) 123-45-67 blocked", "phone *** blocked"},
		{"phone, other prefix", "phone 8 707 123 45 67", "phone ***"},
		{"phone across the cut", strings.Repeat("x", 250) + " 77071234567", strings.Repeat("x", 250) + " ***"},
		{"e-mail", "mail Canary@Example.COM, twice canary@example.com", "mail ***, twice ***"},
		{"e-mail, escaped", "q=canary%40example.com", "q=***"},
		{"IP", "from 203.0.113.77:80", "from ***:80"},
		{"secret", "md5 of ...;canary-secret-5ecr3t", "md5 of ...;***"},
		{"other digits stay", "order 770712345 of 2026", "order 770712345 of 2026"},
	}
	for _, tt := range tests {
		if got := cleanDescription(tt.text, fullIntent(), testSecret); got != tt.want {
			t.Errorf("%s: description %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestErrorsDoNotEchoPersonalData(t *testing.T) {
	f := append(errorFields("9403")[:2], Field{Name: "pg_error_description", Value: "bad " + testPhone + " " + testEmail + " " + testIP})
	_, ge := testQuestion(initScript).link(reply{status: 200, body: []byte(signedInit(f...))})
	if want := "bad *** *** ***"; ge.Description != want {
		t.Errorf("description %q, want %q", ge.Description, want)
	}
	mustNotQuote(t, ge.Error())
}

func FuzzDescription(f *testing.F) {
	f.Add("+7 (707) 123-45-67", "\xff")
	f.Fuzz(func(t *testing.T, before, after string) {
		got := cleanDescription(before+testPhone+after, fullIntent(), testSecret)
		if n := len([]rune(got)); n > maxDescription {
			t.Errorf("%d characters", n)
		}
		mustNotQuote(t, got)
	})
}
