//go:build integration && linux

package torture

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paylink/internal/history"
)

// mostMemory is M1, in KiB.
const mostMemory = 512 << 10

// TestMemoryIsBounded puts records into the topics that are small on the wire and
// huge unpacked, beside good intents in the same batches, on three partitions. M1:
// the process stays below its bound, and the good intents are settled.
func TestMemoryIsBounded(t *testing.T) {
	sc := set(t, setting{partitions: 3, replicas: 1})
	var good, bad []history.Place
	for range bombRounds {
		for p := range int32(3) {
			g, b := sc.bombs(p)
			good, bad = append(good, g...), append(bad, b...)
		}
	}
	began := time.Now()
	sc.fleet.start()
	settled := sc.awaitBombs(good, bad, 30*time.Second)
	t.Logf("%d intents and %d bombs settled: %v, after %.1f s; peak memory %d MiB", len(good), len(bad), settled, time.Since(began).Seconds(), sc.peak()>>10)
	if !settled {
		t.Error("want all settled within 30 s")
	}
	if kib := sc.peak(); kib > mostMemory {
		t.Errorf("peak memory %d KiB, want at most %d", kib, mostMemory)
	}
	sc.fleet.stopAll()
}

// peak is the most memory that the first replica's process ever had, in KiB.
func (sc *scene) peak() int {
	sc.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", sc.fleet.replicas[0].proc.cmd.Process.Pid))
	if err != nil {
		sc.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(text)[0])
			if err != nil {
				sc.t.Fatal(err)
			}
			return kib
		}
	}
	sc.t.Fatal("no VmHWM")
	return 0
}

const mostHeaders = 2 << 20

// What bombs are made of is made once: the detector of races makes memory dear.
var (
	zeros   = make([]byte, 60<<20)
	headers = make([]kgo.RecordHeader, mostHeaders)
)

// bombs emits to a partition what was found to kill, with good intents around it.
func (sc *scene) bombs(partition int32) (good, bad []history.Place) {
	sc.t.Helper()
	for _, codec := range []kgo.CompressionCodec{kgo.ZstdCompression(), kgo.GzipCompression(), kgo.Lz4Compression(), kgo.NoCompression()} {
		c, err := kgo.NewClient(kgo.SeedBrokers(sc.witness.k.Brokers...), kgo.ProducerBatchMaxBytes(256<<20), kgo.MaxBufferedBytes(1<<30),
			kgo.BrokerMaxWriteBytes(1<<30), kgo.ProducerLinger(20*time.Millisecond), kgo.ProducerBatchCompression(codec),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			sc.t.Fatal(err)
		}
		var recs []*kgo.Record
		isGood := map[*kgo.Record]bool{}
		put := func(value []byte, n int) {
			recs = append(recs, &kgo.Record{Topic: sc.topics.intents, Partition: partition, Value: value, Headers: headers[:n]})
		}
		intent := func() {
			sc.bombed++
			put(fmt.Appendf(nil, `{"intent_id":"bomb-%d","amount":"10.00","description":"x"}`, sc.bombed), 0)
			isGood[recs[len(recs)-1]] = true
		}
		intent()
		switch codec {
		case kgo.ZstdCompression():
			for range 8 {
				put(zeros[:30<<20], 0)
			}
			intent()
			put([]byte("{}"), mostHeaders)
			for range 500 {
				put(nil, 0)
			}
		case kgo.NoCompression():
			put(bytes.Repeat([]byte("["), 900<<10), 0)
		default:
			put(zeros, 0)
			put([]byte("{}"), 100<<10)
			put([]byte(`{"intent_id":"`+strings.Repeat("x", 1000<<10)+`"}`), 0)
		}
		intent()
		if err := c.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
			sc.t.Fatal(err)
		}
		c.Close()
		for _, r := range recs {
			at := history.Place{Partition: r.Partition, Offset: r.Offset}
			if isGood[r] {
				good = append(good, at)
			} else {
				bad = append(bad, at)
			}
		}
	}
	return good, bad
}

// awaitBombs waits until the good ones have outcomes, and the others dead letters.
func (sc *scene) awaitBombs(good, bad []history.Place, limit time.Duration) bool {
	sc.t.Helper()
	for until := time.Now().Add(limit); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		sc.witness.mu.Lock()
		answered, buried := len(sc.witness.answered), 0
		for _, at := range bad {
			if sc.witness.buried[at] {
				buried++
			}
		}
		sc.witness.mu.Unlock()
		if answered == len(good) && buried == len(bad) {
			return true
		}
	}
	sc.witness.mu.Lock()
	defer sc.witness.mu.Unlock()
	sc.t.Logf("%d of %d answered, %d of %d buried", len(sc.witness.answered), len(good), len(sc.witness.buried), len(bad))
	return false
}
