// Package realkafka gives integration tests a real Apache Kafka. All of it
// stands behind the build tag "integration"; nothing of the service imports it.
//
// [Start] returns a broker that all tests of a binary share: the cluster that
// KAFKA_BROKERS names, or else a container, where Docker runs (KAFKA_IMAGE names
// its image). [StartCluster] starts three brokers as processes, [StartBroker] one,
// which can be killed and suspended one by one; they need the tool that
// KAFKA_LOCAL names. A test that cannot have its broker is skipped and says why; with
// KAFKA_REQUIRED=1 it fails instead, so that CI cannot pass by skipping.
//
// Topics and groups take their names from [Name] and never meet. What was
// started ends with the test binary, also if that is killed. The room speaks to
// Kafka through franz-go, so that the client under test is not its own witness.
package realkafka
