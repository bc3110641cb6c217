package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"paylink/internal/config"
	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/internal/service"
)

// maxRecord bounds one record of validate; Kafka's own limit is 1 MiB by default.
const maxRecord = 16 << 20

// A judge says what is wrong with one record, a sentence each. An error says
// that it could not be judged.
type judge func(context.Context, event.Message) ([]string, error)

func schemasValidate(ctx context.Context, cfg config.SchemasValidate, w world) error {
	in := w.in
	if cfg.Input != "-" {
		f, err := os.Open(cfg.Input)
		if err != nil {
			return fmt.Errorf("validate: %w", err)
		}
		defer f.Close()
		in = f
	}
	var known event.Schemas
	if cfg.RegistryURL != "" {
		reg, err := service.Registry(cfg.Registry, false)
		if err != nil {
			return err
		}
		defer reg.Close()
		known = reg
	}
	j := judgeIntents(event.NewDecoder(event.DecoderConfig{DefaultMerchant: payment.MerchantID(cfg.MerchantID), Schemas: known}))
	if cfg.Kind == "outcome" {
		j = judgeOutcomes(event.NewOutcomeDecoder(known))
	}
	return validate(ctx, in, w.out, j, cfg.Kind)
}

func judgeIntents(d *event.Decoder) judge {
	return func(ctx context.Context, m event.Message) ([]string, error) {
		out, err := d.Decode(ctx, m)
		if un, ok := errors.AsType[*event.Unreadable](err); ok {
			return []string{un.Error()}, nil
		}
		var wrong []string
		for _, v := range out.Violations {
			wrong = append(wrong, fmt.Sprintf("%s %s", v.Field, v.Rule))
		}
		return wrong, err
	}
}

func judgeOutcomes(d *event.OutcomeDecoder) judge {
	return func(ctx context.Context, m event.Message) ([]string, error) {
		if _, err := d.Decode(ctx, m); err != nil {
			return []string{err.Error()}, nil
		}
		return nil, nil
	}
}

// validate judges every record and says how many there were. It fails if one
// is wrong, or if there is none.
func validate(ctx context.Context, in io.Reader, out io.Writer, j judge, kind string) error {
	records, wrong := 0, 0
	err := eachRecord(in, func(place string, m event.Message) error {
		records++
		found, err := j(ctx, m)
		if err != nil {
			return fmt.Errorf("validate: %s: %w", place, err)
		}
		if len(found) > 0 {
			wrong++
		}
		for _, s := range found {
			fmt.Fprintf(out, "%s: %s\n", place, s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if records == 0 {
		return errors.New("validate: the input holds no record")
	}
	fmt.Fprintf(out, "%d %ss, %d of them wrong\n", records, kind, wrong)
	if wrong > 0 {
		return errTold
	}
	return nil
}

// eachRecord calls do for the input as a whole if it is one JSON value over
// several lines, else for each line that is not blank.
func eachRecord(in io.Reader, do func(place string, m event.Message) error) error {
	r := bufio.NewReaderSize(in, 64<<10)
	whole, err := io.ReadAll(io.LimitReader(r, maxRecord))
	if err != nil {
		return fmt.Errorf("validate: %w", err)
	}
	first, rest, several := bytes.Cut(bytes.TrimSpace(whole), []byte("\n"))
	if len(whole) < maxRecord && (!several || !json.Valid(first)) && len(bytes.TrimSpace(whole)) > 0 {
		if json.Valid(whole) || !several || len(bytes.TrimSpace(rest)) == 0 {
			place, m := recordOf("the input", bytes.TrimSpace(whole))
			return do(place, m)
		}
	}
	lines := bufio.NewScanner(io.MultiReader(bytes.NewReader(whole), r))
	lines.Buffer(make([]byte, 0, 64<<10), maxRecord)
	for n := 1; lines.Scan(); n++ {
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			place, m := recordOf(fmt.Sprintf("line %d", n), line)
			if err := do(place, m); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("validate: %w", err)
	}
	return nil
}

// recordOf makes a record of a line: the value itself, or what paylink-dev watch
// --json says of one.
func recordOf(place string, line []byte) (string, event.Message) {
	var seen struct {
		Topic     *string           `json:"topic"`
		Partition *int32            `json:"partition"`
		Offset    *int64            `json:"offset"`
		Headers   map[string]string `json:"headers"`
		Value     json.RawMessage   `json:"value"`
		Bytes     []byte            `json:"bytes"`
	}
	if json.Unmarshal(line, &seen) != nil || seen.Topic == nil || seen.Partition == nil || seen.Offset == nil {
		return place, event.Message{Value: line}
	}
	m := event.Message{Value: seen.Value}
	if seen.Value == nil {
		m.Value = seen.Bytes
	}
	for name, value := range seen.Headers {
		m.Headers = append(m.Headers, event.Header{Key: name, Value: []byte(value)})
	}
	return fmt.Sprintf("%s/%d@%d", *seen.Topic, *seen.Partition, *seen.Offset), m
}
