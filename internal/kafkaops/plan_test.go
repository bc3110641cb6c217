package kafkaops

import (
	"os"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// TestAsyncAPISaysHowTheTopicsAreMade compares the contract's document with what
// "paylink topics create" does by default.
func TestAsyncAPISaysHowTheTopicsAreMade(t *testing.T) {
	text, err := os.ReadFile("../../schemas/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type settings map[string]any
	var doc struct {
		Channels map[string]struct {
			Address  string
			Bindings struct {
				Kafka struct {
					Topic                string
					Partitions, Replicas int
					Config               settings `yaml:"topicConfiguration"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	plan := Plan{Topics: Topics{Intents: "payment-intents", Outcomes: "payment-outcomes", DeadLetters: "payment-intents.dead-letters"}, Partitions: 12, LedgerWindow: 168 * time.Hour}
	made := 0
	for _, want := range plan.configs(3) {
		for _, c := range doc.Channels {
			k := c.Bindings.Kafka
			if c.Address != want.Topic {
				continue
			}
			made++
			if k.Topic != want.Topic || k.Partitions != want.NumPartitions || k.Replicas != want.ReplicationFactor {
				t.Errorf("%s: %+v, made are %+v", want.Topic, k, want)
			}
			for _, e := range want.ConfigEntries {
				if e.ConfigName == setRetention && yamlText(k.Config[setRetention]) != e.ConfigValue {
					t.Errorf("%s: retention.ms %v, made with %s", want.Topic, k.Config[setRetention], e.ConfigValue)
				}
			}
		}
	}
	if made != 3 {
		t.Errorf("%d of three topics found", made)
	}
}

func yamlText(v any) string {
	b, err := yaml.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b[:len(b)-1])
}
