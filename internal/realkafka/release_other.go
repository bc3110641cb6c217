//go:build integration && !unix

package realkafka

// startRelease needs processes that can be suspended.
func startRelease(string, layout) (nodes, error) {
	return nil, absent("KAFKA_HOME is for Unix only: set KAFKA_BROKERS")
}
