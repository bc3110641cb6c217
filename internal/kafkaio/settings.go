package kafkaio

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/event"
)

// settings are those of the outcome topic that the promise rests on. They are read
// at the start, and once in a while, because an operator may change them.
type settings struct {
	s          *Source
	maxMessage atomic.Int64 // of the outcome topic; 0: not known
}

const settingsEvery = 30 * time.Second

// LargestOutcome is what the outcome topic must take as one record.
const LargestOutcome = event.LargestOutcome

// first reads them before anything is done that rests on them. What may not be
// read is not known, and stops nobody; a compacted topic does.
func (t *settings) first(ctx context.Context) error {
	for range 5 {
		err := t.read(ctx)
		if err == nil {
			break
		}
		t.s.log.WithError(err).Debug("settings of the outcome topic")
		if !Sleep(ctx, routesEvery) {
			break
		}
	}
	if t.s.troubles.stands(Compacted) {
		return fatalError{fmt.Errorf("topic %s: cleanup.policy holds \"compact\": of several outcomes with one key only the "+
			"last is kept, and answered intents would be answered again; set cleanup.policy to delete", t.s.cfg.OutcomeTopic)}
	}
	return nil
}

func (t *settings) watch(ctx context.Context) {
	for Sleep(ctx, settingsEvery) {
		if err := t.read(ctx); err != nil {
			t.s.log.WithError(err).Debug("settings of the outcome topic")
		}
	}
}

func (t *settings) read(ctx context.Context) error {
	topic := t.s.cfg.OutcomeTopic
	res, err := call(ctx, 5*time.Second, func(ctx context.Context) (*kafka.DescribeConfigsResponse, error) {
		return t.s.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic},
		}})
	})
	if err != nil {
		return err
	}
	for _, r := range res.Resources {
		if r.Error != nil || r.ResourceName != topic {
			continue
		}
		has := map[string]string{}
		for _, e := range r.ConfigEntries {
			has[e.ConfigName] = e.ConfigValue
		}
		t.take(has)
	}
	return nil
}

// take judges what was read.
func (t *settings) take(has map[string]string) {
	topic, window, ts := t.s.cfg.OutcomeTopic, t.s.cfg.LedgerWindow, t.s.troubles
	if n, err := strconv.ParseInt(has["max.message.bytes"], 10, 64); err == nil {
		t.maxMessage.Store(n)
		t.limit(n)
	}
	if strings.Contains(has["cleanup.policy"], "compact") {
		ts.stand(Trouble{Kind: Compacted, About: topic,
			What: fmt.Sprintf("Topic %s is compacted: outcomes are forgotten, so no partition is taken over", topic),
			Mend: "Set its cleanup.policy to delete."})
	} else {
		ts.pass(Compacted, topic)
	}
	for name, short := range map[string]string{
		"retention.ms":    shortTime(has["retention.ms"], window),
		"retention.bytes": shortBytes(has["retention.bytes"]),
	} {
		if short == "" {
			ts.pass(ShortLedger, topic+" "+name)
			continue
		}
		ts.stand(Trouble{Kind: ShortLedger, About: topic + " " + name,
			What: fmt.Sprintf("Topic %s: %s: records older than the oldest outcome that is left are refused as too_old", topic,
				short),
			Mend: "Raise " + name + " above the ledger window, or lower PAYLINK_LEDGER_WINDOW."})
	}
}

// limit judges how large a record may be.
func (t *settings) limit(n int64) {
	topic := t.s.cfg.OutcomeTopic
	if n >= event.LargestOutcome {
		t.s.troubles.pass(OutcomeLimit, topic)
		return
	}
	t.s.troubles.stand(Trouble{Kind: OutcomeLimit, About: topic,
		What: fmt.Sprintf("Topic %s: max.message.bytes is %d, the largest outcome needs %d: outcomes may be refused when their "+
			"payment exists already", topic, n, event.LargestOutcome),
		Mend: "Raise max.message.bytes; the brokers' default is 1048588.",
	})
}

func shortTime(value string, window time.Duration) string {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 || n >= window.Milliseconds() {
		return ""
	}
	return fmt.Sprintf("retention.ms keeps outcomes for %s, the ledger window is %s", time.Duration(n)*time.Millisecond, window)
}

func shortBytes(value string) string {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return ""
	}
	return fmt.Sprintf("retention.bytes is %d, so that outcomes go before the ledger window ends once a partition has more", n)
}
