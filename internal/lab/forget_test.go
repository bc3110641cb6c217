package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"paylink/internal/devstack"
	"paylink/internal/history"
	"paylink/internal/kafkaops"
	"paylink/internal/replay"
)

// forget has the outcome topic deleted and made again, when all is judged and the members
// are gone, and runs "replay unanswered" without --execute: that nobody was answered is
// not so, and it must not say it. Notes beside the offsets tell. Where a stranger or
// an operator has set offsets, there need be none.
func (s *scene) forget(h history.Run) (wrong []history.Violation) {
	if !s.plan.world.remade || s.plan.world.tampered || s.plan.setsOffsets() {
		return nil
	}
	breaks := func(format string, args ...any) {
		wrong = append(wrong, history.Violation{Rule: ruleReplay, Story: fmt.Sprintf(format, args...)})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := s.remake(ctx); err != nil {
		breaks("make %s again: %v", devstack.Outcomes, err)
		return wrong
	}
	a, err := s.openArchive(s.vn.DialContext)
	if err != nil {
		breaks("it cannot begin: %v", err)
		return wrong
	}
	defer a.close()
	answered := map[string]bool{}
	for _, o := range h.Outcomes {
		answered[o.Intent] = true
	}
	spans, err := a.kafka.Spans(ctx, kafkaops.Range{Topic: devstack.Intents, Partition: -1})
	if err == nil {
		run := replay.Unanswered{
			Archive: replay.Archive{Kafka: a.kafka, Facts: a.facts, Now: time.Now()}, Group: group,
			Tell: func(l replay.UnansweredLine) error {
				if l.Kind == "emitted" && answered[string(l.Intent)] {
					breaks("%s at %d@%d was answered, before the outcome topic was made again, and would be emitted", l.Intent, l.Partition, l.Offset)
				}
				return nil
			},
		}
		_, err = run.Run(ctx, spans)
	}
	if err != nil {
		breaks("it ended: %v", err)
	}
	return wrong
}

// remake deletes the outcome topic, and makes it again.
func (s *scene) remake(ctx context.Context) error {
	admin := kadm.NewClient(s.client)
	if _, err := admin.DeleteTopic(ctx, devstack.Outcomes); err != nil {
		return err
	}
	_, err := admin.CreateTopic(ctx, s.plan.world.outcomes, 1, nil, devstack.Outcomes)
	return err
}
