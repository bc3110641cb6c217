package pipeline

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"paylink/internal/event"
	"paylink/internal/partition"
)

// What a task takes is what is counted for it: else thousands of merchants, who have one
// loaded each, take more memory than there is.
func TestATaskTakesNoMoreThanIsCounted(t *testing.T) {
	const usual = `{"intent_id":"i-%d","merchant_id":"540001","order_id":"o-%[1]d","amount":"10.00",` +
		`"description":"order","user_phone":"77010000000","success_url":"https://shop.example/ok","failure_url":"https://shop.example/no"%s}`
	long := strings.Repeat("1", 200<<10-8)
	for _, tt := range []struct {
		name, key, more string
		n               int
	}{
		{"usual", "order", "", 5000},
		{"with much that is not ours", "order", `,"note":"` + long + `"`, 50},
		{"with a long key", long, "", 50},
		{"with a long field", "order", `,"lifetime":"` + long + `"`, 50},
		{"with an object for a field", "order", `,"lifetime":{"a":` + long + `}`, 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			took, counted := taken(t, tt.n, func(i int) event.Message {
				return event.Message{Key: []byte(tt.key + strconv.Itoa(i)), Value: fmt.Appendf(nil, usual, i, tt.more)}
			})
			t.Logf("a task takes %d bytes, %d are counted", took/tt.n, counted/tt.n)
			if took > counted {
				t.Errorf("%d tasks take %d bytes, and %d are counted", tt.n, took, counted)
			}
		})
	}
}

// taken is how many bytes n tasks take, and how many are counted for them.
func taken(t *testing.T, n int, record func(int) event.Message) (took, counted int) {
	d, part := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001"}), partition.New(partition.Limit{})
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	tasks := make([]*task, n)
	before := heap()
	for i := range tasks {
		tk := newTask(nil, Record{Offset: int64(i), Message: record(i)})
		dec, err := d.Decode(context.Background(), tk.msg.Message)
		if err != nil {
			t.Fatal(err)
		}
		tk.decoded(dec)
		tk.slim()
		part.Load(&tk.rec, true)
		counted += tk.rec.Size
		tasks[i] = tk
	}
	took = heap() - before
	runtime.KeepAlive(tasks)
	runtime.KeepAlive(part)
	return took, counted
}
