package service_test

import (
	"fmt"
	"net"
	"net/http"
	"testing"

	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/service"
)

// TestAdminTellsOfSettledIntents: of those that this process settled, and of those
// that it found in the outcome topic when it took its partitions over.
func TestAdminTellsOfSettledIntents(t *testing.T) {
	stack, cfg := world(t)
	kafka := stack.Broker.Kafka()
	emit := func(id, amount string) {
		t.Helper()
		value := fmt.Appendf(nil, `{"intent_id":%q,"amount":%q,"description":"x"}`, id, amount)
		if err := kafka.Emit(t.Context(), devstack.Intents, event.Message{Key: []byte(id), Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	for _, life := range []string{"first", "second"} {
		emit("good-"+life, "10.00")
		emit("bad-"+life, "-1")
		t.Run(life, func(t *testing.T) {
			w := &waiting{t: t, out: &buffer{}}
			admin := make(chan net.Addr, 1)
			startReloading(t, cfg, w.out, func(d *service.Deps) { d.OnAdmin = func(a net.Addr) { admin <- a } })
			w.url = "http://" + (<-admin).String()
			for _, of := range []string{"first", "second"} {
				for id, state := range map[string]string{"good-" + of: "created", "bad-" + of: "failed"} {
					if of == "second" && life == "first" {
						continue
					}
					var is struct {
						ID       string `json:"intent_id"`
						State    string
						Records  []wait
						Outcomes []struct {
							State, Topic string
							Partition    int32
							Offset       *int64
						}
					}
					w.get("/api/v1/intents/"+id, http.StatusOK, &is, func() bool {
						return is.ID == id && is.State == state && is.Records != nil && len(is.Records) == 0 && len(is.Outcomes) == 1 && is.Outcomes[0].Offset != nil
					})
					recs, err := kafka.Read(t.Context(), devstack.Outcomes, devstack.ReadUncommitted)
					if err != nil || len(is.Outcomes) != 1 {
						t.Fatalf("%s: %+v, %v", id, is, err)
					}
					for _, r := range recs {
						o := is.Outcomes[0]
						here := r.Partition == o.Partition && r.Offset == *o.Offset && o.Topic == devstack.Outcomes
						if here != (string(r.Header(event.HeaderIntentID)) == id) {
							t.Errorf("%s, in the %s life: told %+v at %d, but %d@%d is %s", id, life, o, *o.Offset, r.Partition, r.Offset, r.Header(event.HeaderIntentID))
						}
					}
				}
			}
		})
	}
}
