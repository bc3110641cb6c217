package config

import "testing"

func TestTurnsAreOffWhereTheWordSaysSo(t *testing.T) {
	for value, want := range map[string]string{"off": "", "": "payment-intents.turns", "a-topic": "a-topic"} {
		p, _, err := parse(good("PAYLINK_TOPIC_TURNS=" + value))
		if err != nil || p.Run.Turns.Name() != want {
			t.Errorf("PAYLINK_TOPIC_TURNS=%s: topic %q, %v; want %q", value, p.Run.Turns.Name(), err, want)
		}
	}
}
