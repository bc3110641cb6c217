// Package realkafka gives integration tests a real Apache Kafka. All of it
// stands behind the build tag "integration"; nothing of the service imports it.
//
// There are three ways to have one; any of them will do:
//
//   - KAFKA_HOME names the folder of an unpacked Apache Kafka release (its libs are
//     used), and there is Java 17: brokers are processes of this test binary;
//   - KAFKA_BROKERS names a cluster that runs, all of its brokers if there are
//     proxies before them;
//   - KAFKA_LOCAL names a tool that starts brokers as processes (kafka-local), or
//     Docker runs and KAFKA_IMAGE may name an image.
//
// [Start] returns brokers that all tests of a binary share: those of KAFKA_BROKERS,
// or one that is started, from KAFKA_HOME, in Docker, or by KAFKA_LOCAL, the first
// of these that there is. [StartCluster] starts three brokers, [StartBroker] one,
// which can be killed and suspended one by one, [StartGuarded] one that asks for
// logins and grants rights: from KAFKA_HOME, or else by KAFKA_LOCAL. A test that
// cannot have its broker is skipped and says why; with KAFKA_REQUIRED=1 it fails
// instead, so that CI cannot pass by skipping.
//
// Topics and groups take their names from [Name] and never meet. What was
// started ends with the test binary, also if that is killed. The room speaks to
// Kafka through franz-go, so that the client under test is not its own witness.
package realkafka
