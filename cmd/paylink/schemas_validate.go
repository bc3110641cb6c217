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
	"paylink/internal/event/outcomes"
	"paylink/internal/kafkaops"
	"paylink/internal/payment"
	"paylink/internal/service"
)

// maxRecord bounds one record of validate; Kafka's own limit is 1 MiB by default.
const maxRecord = 16 << 20

// A judge says what is wrong with one record, a sentence each. An error says
// that it could not be judged.
type judge func(context.Context, event.Message) ([]string, error)

// A source calls do with every record it holds, and with where that stands.
type source func(do func(place string, m event.Message) error) error

func schemasValidate(ctx context.Context, cfg config.SchemasValidate, w world) error {
	var known event.Schemas
	if cfg.RegistryURL != "" {
		reg, err := service.Registry(cfg.Registry, false, nil)
		if err != nil {
			return err
		}
		defer reg.Close()
		known = reg
	}
	v := validator{kind: cfg.Kind, out: w.out,
		intent:  judgeIntents(event.NewDecoder(event.DecoderConfig{DefaultMerchant: payment.MerchantID(cfg.MerchantID), Schemas: known})),
		outcome: judgeOutcomes(outcomes.NewDecoder(known)),
	}
	if cfg.Topic != "" {
		if cfg.Kind == "auto" && cfg.Topic == cfg.Topics.Outcomes {
			v.kind = "outcome"
		}
		return v.validate(ctx, recordsOf(ctx, cfg))
	}
	in := w.in
	if cfg.Input != "-" {
		f, err := os.Open(cfg.Input)
		if err != nil {
			return fmt.Errorf("validate: %w", err)
		}
		defer f.Close()
		in = f
	}
	return v.validate(ctx, func(do func(string, event.Message) error) error { return eachRecord(in, do) })
}

// recordsOf are those of a range of a topic.
func recordsOf(ctx context.Context, cfg config.SchemasValidate) source {
	r := kafkaops.Range{Topic: cfg.Topic, Partition: int32(cfg.Partition), From: kafkaops.Bound(cfg.Begin)}
	if cfg.End != nil {
		end := kafkaops.Bound(*cfg.End)
		r.To = &end
	}
	return func(do func(string, event.Message) error) error {
		return kafkaops.Scan(ctx, service.Connection(cfg.Kafka, nil), r, func(p event.Place, m event.Message) error {
			return do(placeOf(p), m)
		})
	}
}

func placeOf(p event.Place) string { return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset) }

func judgeIntents(d *event.Decoder) judge {
	return func(ctx context.Context, m event.Message) ([]string, error) {
		out, err := d.Decode(ctx, m)
		return sentences(out.Violations, err)
	}
}

func judgeOutcomes(d *outcomes.Decoder) judge {
	return func(ctx context.Context, m event.Message) ([]string, error) { return sentences(d.Judge(ctx, m)) }
}

// sentences says what was found. None holds a value of the record.
func sentences(vs []payment.Violation, err error) ([]string, error) {
	if un, ok := errors.AsType[*event.Unreadable](err); ok {
		return []string{un.Error()}, nil
	}
	var all []string
	for _, v := range vs {
		all = append(all, v.Field+" "+v.Rule)
	}
	return all, err
}

// A validator judges records and prints what it finds.
type validator struct {
	kind            string // intent, outcome or auto
	intent, outcome judge
	out             io.Writer
}

// judge judges a record by what it is.
func (v *validator) judge(ctx context.Context, m event.Message) ([]string, error) {
	isOutcome := v.kind == "outcome"
	if v.kind == "auto" {
		t := string(m.Header("ce_type"))
		isOutcome = t == event.CETypeCreated || t == event.CETypeFailed
	}
	if isOutcome {
		return v.outcome(ctx, m)
	}
	return v.intent(ctx, m)
}

// validate judges every record and says how many there were. It fails if one
// is wrong.
func (v *validator) validate(ctx context.Context, from source) error {
	records, wrong, last := 0, 0, "the beginning"
	err := from(func(place string, m event.Message) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		records, last = records+1, place
		found, err := v.judge(ctx, m)
		if err != nil {
			return fmt.Errorf("validate: %s: %w", place, err)
		}
		if len(found) > 0 {
			wrong++
		}
		for _, s := range found {
			fmt.Fprintf(v.out, "%s: %s\n", place, s)
		}
		return nil
	})
	if err != nil {
		return stopped(ctx, err, fmt.Sprintf("%d records were judged, %d of them wrong, and none after %s", records, wrong, last), "run it again")
	}
	noun := map[string]string{"intent": "intents", "outcome": "outcomes", "auto": "records"}[v.kind]
	fmt.Fprintf(v.out, "%d %s, %d of them wrong\n", records, noun, wrong)
	if wrong > 0 {
		return errTold
	}
	return nil
}

// eachRecord calls do for the input as a whole if it is one JSON value over
// several lines, else for each line that is not blank. A file without any is a
// mistake; a range of a topic without any is a quiet hour.
func eachRecord(in io.Reader, do func(place string, m event.Message) error) error {
	r := bufio.NewReaderSize(in, 64<<10)
	config.SkipMark(r)
	whole, err := io.ReadAll(io.LimitReader(r, maxRecord))
	if err != nil {
		return fmt.Errorf("validate: %w", err)
	}
	if len(bytes.TrimSpace(whole)) == 0 {
		return errors.New("validate: the input holds no record")
	}
	first, rest, several := bytes.Cut(bytes.TrimSpace(whole), []byte("\n"))
	if len(whole) < maxRecord && (!several || !json.Valid(first)) {
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
	return placeOf(event.Place{Topic: *seen.Topic, Partition: *seen.Partition, Offset: *seen.Offset}), m
}
