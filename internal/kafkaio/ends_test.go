package kafkaio_test

import (
	"math"
	"testing"
	"time"

	"paylink/internal/kafkaio"
	"paylink/internal/pipeline"
)

// gauge returns the one series of a gauge; false: there is none.
func (m *life) gauge(t *testing.T, name string) (float64, bool) {
	t.Helper()
	families, err := m.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.Metric[0].GetGauge().GetValue(), true
		}
	}
	return 0, false
}

// TestLagCountsToTheEndOfNow: also while nothing is read, because the window is full,
// and while no broker is there.
func TestLagCountsToTheEndOfNow(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		l.flow = func(c *pipeline.Config) { c.WindowCount, c.Concurrency = 10, 2 }
		l.gate.answersAfter(time.Hour)
		m := l.start("a", func(c *kafkaio.Config) { c.SessionTimeout = time.Minute })
		m.inState(t, kafkaio.Running, 1)
		for i := range 40 { // batches: one is fetched as a whole
			l.emit(i*1000, 1000)
		}
		time.Sleep(20 * time.Second)
		before, ok := m.gauge(t, "paylink_kafka_lag_records")
		if !ok || before < 1000 {
			t.Errorf("a lag of %v (%v), want most of 40000", before, ok)
		}
		l.emit(40000, 3000)
		time.Sleep(10 * time.Second)
		if after, _ := m.gauge(t, "paylink_kafka_lag_records"); after != before+3000 {
			t.Errorf("a lag of %v after 3000 more, want %v", after, before+3000)
		}
		if age, ok := m.gauge(t, "paylink_kafka_end_age_seconds"); !ok || age > 6 {
			t.Errorf("the end is known from %v s ago, want a few", age)
		}
		m.net.cut()
		time.Sleep(40 * time.Second)
		if lag, ok := m.gauge(t, "paylink_kafka_lag_records"); !ok || !math.IsNaN(lag) {
			t.Errorf("a lag of %v (%v) while no broker is there, want NaN", lag, ok)
		}
		if age, _ := m.gauge(t, "paylink_kafka_end_age_seconds"); age < 39 || age > 46 {
			t.Errorf("the end is known from %v s ago, want 40", age)
		}
		time.Sleep(5 * time.Minute)
		if age, _ := m.gauge(t, "paylink_kafka_end_age_seconds"); age < 200 {
			t.Errorf("%v s without a broker, want more than 200", age)
		}
		l.gate.answersAfter(0)
		m.stop()
		<-m.ended
	})
}
