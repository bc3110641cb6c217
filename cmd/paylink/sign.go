package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"paylink/internal/config"
	"paylink/internal/freedompay"
	"paylink/internal/payment"
)

// maxFields bounds what sign reads; no message of the gateway is near it.
const maxFields = 1 << 20

// sigField is the field that holds the signature.
const sigField = "pg_sig"

// sign signs, or verifies, the object on standard input.
func sign(cfg config.Sign, w world) error {
	fields, err := readFields(w.in)
	if err != nil {
		return fmt.Errorf("sign: standard input: %w", err)
	}
	script := freedompay.Script(cfg.Script)
	if cfg.Verify {
		return verify(script, fields, cfg, w)
	}
	out := struct {
		Sig     string `json:"pg_sig"`
		Explain string `json:"explain,omitempty"`
	}{Sig: freedompay.Sign(script, fields, cfg.Secret)}
	if cfg.Explain {
		out.Explain = explained(script, fields, cfg.Secret)
	}
	enc := json.NewEncoder(w.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

func verify(script string, fields []freedompay.Field, cfg config.Sign, w world) error {
	if cfg.Explain {
		fmt.Fprintln(w.out, explained(script, fields, cfg.Secret))
	}
	has := false
	for _, f := range fields {
		has = has || f.Name == sigField
	}
	switch {
	case !has:
		return errors.New("sign: the object has no pg_sig to verify")
	case !freedompay.Verify(script, fields, cfg.Secret):
		return fmt.Errorf("sign: pg_sig is wrong for script %q and this secret; --explain shows what is hashed", script)
	}
	fmt.Fprintln(w.out, "pg_sig is right")
	return nil
}

// explained returns the string that is hashed, without the secret.
func explained(script string, fields []freedompay.Field, secret payment.Secret) string {
	s := freedompay.Base(script, fields, "***")
	if len(secret) >= 8 { // in case it was put among the fields, too
		s = strings.ReplaceAll(s, secret.Reveal(), "***")
	}
	return s
}

// readFields reads a flat JSON object. Numbers are kept as they are written,
// because 10 and 10.00 sign differently.
func readFields(r io.Reader) ([]freedompay.Field, error) {
	lr := &io.LimitedReader{R: r, N: maxFields + 1}
	dec := jsontext.NewDecoder(lr) // refuses invalid UTF-8 and repeated names
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return nil, errors.New(`want one JSON object of fields, such as {"pg_order_id":"42","pg_amount":"10.00"}`)
	}
	var fields []freedompay.Field
	for dec.PeekKind() != '}' {
		f, err := readField(dec)
		if lr.N <= 0 {
			return nil, fmt.Errorf("the object is larger than %d bytes", maxFields)
		}
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the object; give one object")
	}
	return fields, nil
}

func readField(dec *jsontext.Decoder) (freedompay.Field, error) {
	name, err := dec.ReadToken()
	if err != nil {
		return freedompay.Field{}, fmt.Errorf("no valid JSON: %w", err)
	}
	f := freedompay.Field{Name: name.String()}
	switch kind := dec.PeekKind(); kind {
	case '"', '0':
		value, err := dec.ReadToken()
		if err != nil {
			return f, fmt.Errorf("no valid JSON: %w", err)
		}
		f.Value = value.String()
		return f, nil
	case '{', '[':
		return f, fmt.Errorf("field %s holds an object or a list; only flat fields can be signed here", f.Name)
	case 't', 'f', 'n':
		return f, fmt.Errorf(`field %s is true, false or null; write the text that goes on the wire, such as "1"`, f.Name)
	}
	_, err = dec.ReadToken()
	return f, fmt.Errorf("no valid JSON: %w", err)
}
