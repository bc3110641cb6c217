package kafkaio

import (
	"testing"
	"time"

	"paylink/internal/kafkawire"
)

// set is a record set of one record per time, in one batch.
func set(t *testing.T, attributes byte, millis ...int64) []byte {
	t.Helper()
	recs := make([]kafkawire.Record, len(millis))
	for i, ms := range millis {
		recs[i] = kafkawire.Record{Millis: ms, Value: []byte("v")}
	}
	raw, err := kafkawire.AppendBatch(nil, kafkawire.Producer{ID: -1, Epoch: -1}, -1, 0, recs)
	if err != nil {
		t.Fatal(err)
	}
	raw = raw[4:]
	raw[22] |= attributes
	return Seal(raw)
}

func TestRecordsTellWhoseTimeTheyHave(t *testing.T) {
	at := time.Now().UnixMilli()
	for _, c := range []struct {
		name       string
		attributes byte
		millis     int64
		want       time.Time
		broker     bool
	}{
		{"the producer's", 0, at, time.UnixMilli(at), false},
		{"the broker's", 8, at, time.UnixMilli(at), true},
		{"none", 0, -1, time.Time{}, false},
	} {
		recs, next, err := Visible(0, &kafkawire.FetchPartitionResponse{Records: kafkawire.Raw{Bytes: set(t, c.attributes, c.millis)}})
		if err != nil || next != 1 || len(recs) != 1 || !recs[0].Time.Equal(c.want) || recs[0].BrokerTime != c.broker {
			t.Errorf("%s: records %+v, next %d, %v; want the time %v, the broker's: %v", c.name, recs, next, err, c.want, c.broker)
		}
	}
}

func TestOffsetsBeforeTheAskedOneAreLeftOut(t *testing.T) {
	recs, next, err := Visible(2, &kafkawire.FetchPartitionResponse{Records: kafkawire.Raw{Bytes: set(t, 0, 1, 2, 3, 4)}})
	if err != nil || next != 4 || len(recs) != 2 || recs[0].Offset != 2 {
		t.Errorf("records %+v, next %d, %v; want those at 2 and 3", recs, next, err)
	}
}

// A record that waits for long must not keep the fetch it came with in memory.
func TestRecordsHaveBytesOfTheirOwn(t *testing.T) {
	bytes := set(t, 0, 1)
	recs, _, err := Visible(0, &kafkawire.FetchPartitionResponse{Records: kafkawire.Raw{Bytes: bytes}})
	if err != nil {
		t.Fatal(err)
	}
	clear(bytes)
	if string(recs[0].Value) != "v" {
		t.Errorf("value %q after the fetched bytes were used again, want v", recs[0].Value)
	}
}
