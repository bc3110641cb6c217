package kafkawire_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"paylink/internal/kafkawire"
)

// The self-test of the replaced codecs: kafka-go's own report no error here.
func TestGroupErrorsAreReported(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tr := &kafka.Transport{}
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	addr := kafka.TCP(c.ListenAddrs()...)
	client := &kafka.Client{Addr: addr, Transport: tr}
	if _, err := client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{GroupID: "g", GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{"t": {{Offset: 1}}}}); err != nil {
		t.Fatal(err) // it makes the group
	}
	who := kafkawire.Member{Group: "g", Generation: 1, ID: "nobody"}
	if err := kafkawire.Heartbeat(ctx, tr, addr, who); !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("heartbeat of an unknown member: %v, want %v", err, kafka.UnknownMemberId)
	}
	if err := kafkawire.Leave(ctx, tr, addr, who); !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("leaving of an unknown member: %v, want %v", err, kafka.UnknownMemberId)
	}
}

func TestRecordSetsAreReadWhole(t *testing.T) {
	set := func(claimed int32, real int) io.Reader {
		return bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, uint32(claimed)), make([]byte, real)...))
	}
	for _, c := range []struct {
		name          string
		claimed, real int
		want          int
		ok            bool
	}{
		{"null", -1, 0, 0, true},
		{"empty", 0, 0, 0, true},
		{"small", 1000, 1000, 1000, true},
		{"large", 20 << 20, 20 << 20, 20 << 20, true},
		{"cut off", 1000, 999, 999, false},
		{"large and cut off", 100 << 20, 10, 10, false},
		{"absurd", 1<<31 - 1, 10, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r kafkawire.Raw
			n, err := r.ReadFrom(set(int32(c.claimed), c.real))
			if (err == nil) != c.ok || c.ok && (n != int64(4+c.real) || len(r.Bytes) != c.want) {
				t.Errorf("read %d, %d bytes, %v; want %d bytes, success %v", n, len(r.Bytes), err, c.want, c.ok)
			}
		})
	}
}

// A length that is a lie must not cost its memory.
func TestALengthAloneAllocatesLittle(t *testing.T) {
	head := binary.BigEndian.AppendUint32(nil, 120<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var r kafkawire.Raw
	if _, err := r.ReadFrom(bytes.NewReader(head)); err == nil {
		t.Error("120 MiB that are not there were read")
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 17<<20 {
		t.Errorf("%d MiB allocated for a length of 120 MiB without bytes", got>>20)
	}
}
