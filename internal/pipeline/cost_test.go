package pipeline

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"paylink/internal/event"
	"paylink/internal/partition"
)

// What a task takes is what is counted for it: else thousands of merchants, who have one
// loaded each, take more memory than there is.
func TestATaskTakesNoMoreThanIsCounted(t *testing.T) {
	const n = 5000
	d, part := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), partition.New(partition.Limit{})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	tasks := make([]*task, n)
	before, counted := heap(), 0
	for i := range tasks {
		m := event.Message{Key: fmt.Append(nil, "order-", i), Value: fmt.Appendf(nil, `{"intent_id":"i-%d","merchant_id":"540001","order_id":"o-%d","amount":"10.00",`+
			`"description":"order","user_phone":"77010000000","success_url":"https://shop.example/ok","failure_url":"https://shop.example/no"}`, i, i)}
		dec, err := d.Decode(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		tk := newTask(nil, Record{Offset: int64(i), Message: m})
		tk.decoded(dec)
		part.Load(&tk.rec, true)
		counted += tk.rec.Size
		tasks[i] = tk
	}
	took := int(heap() - before)
	t.Logf("a task takes %d bytes, %d are counted", took/n, counted/n)
	if took > counted {
		t.Errorf("%d tasks take %d bytes, and %d are counted", n, took, counted)
	}
	runtime.KeepAlive(tasks)
	runtime.KeepAlive(part)
}
