package schemagen

import (
	"fmt"
	"strings"

	"paylink/internal/payment"
)

// A field is a field of an intent with what only a wire format needs.
type field struct {
	*payment.Field
	index  int // in payment.Fields
	number int // in Protobuf, for ever
}

// numbers are the Protobuf numbers of an intent's fields. A number is never
// used again, also if its field goes; a new field gets the next one.
var numbers = map[string]int{
	"intent_id": 1, "merchant_id": 2, "order_id": 3, "amount": 4, "currency": 5, "description": 6,
	"testing_mode": 7, "lifetime": 8, "language": 9, "user_id": 10, "user_ip": 11, "user_phone": 12,
	"user_contact_email": 13, "request_method": 14, "check_url": 15, "result_url": 16, "success_url": 17,
	"failure_url": 18, "site_url": 19, "success_url_method": 20, "failure_url_method": 21,
	"param1": 22, "param2": 23, "param3": 24, "commission_discount": 25, "commission_discount_fix": 26,
	"commission_discount_percentage": 27, "generate_qr": 28, "idempotency_key": 29,
	"expires_at": 30, "created_at": 31, "metadata": 32,
}

// nextNumber is the number of the next new field of an intent.
const nextNumber = 33

func intentFields() ([]field, error) {
	var fields []field
	seen := map[int]string{}
	for i := range payment.Fields {
		f := field{Field: &payment.Fields[i], index: i, number: numbers[payment.Fields[i].Name]}
		switch {
		case f.number == 0:
			return nil, fmt.Errorf("schemagen: field %s has no Protobuf number: give it %d in numbers, and raise nextNumber", f.Name, nextNumber)
		case f.number >= nextNumber:
			return nil, fmt.Errorf("schemagen: field %s has number %d: raise nextNumber", f.Name, f.number)
		case seen[f.number] != "":
			return nil, fmt.Errorf("schemagen: fields %s and %s share number %d", seen[f.number], f.Name, f.number)
		case f.Kind < payment.Text || f.Kind > payment.Pairs:
			return nil, fmt.Errorf("schemagen: field %s is of kind %d, which no format knows yet", f.Name, f.Kind)
		}
		seen[f.number] = f.Name
		fields = append(fields, f)
	}
	return fields, nil
}

// retired are numbers whose fields are gone.
func retired() []int {
	used := map[int]bool{}
	for name, n := range numbers {
		used[n] = payment.FieldNamed(name) != nil
	}
	var out []int
	for n := 1; n < nextNumber; n++ {
		if !used[n] {
			out = append(out, n)
		}
	}
	return out
}

// doc is the field's description: meaning, rule, example.
func (f field) doc(absent string) string {
	need := "Optional; " + absent + "."
	if f.Required {
		need = "Required."
	}
	return strings.Join([]string{f.Doc, need, "Example: " + f.Example + "."}, " ")
}

// goName is a field's name in Go, as protoc-gen-go makes it.
func goName(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}
