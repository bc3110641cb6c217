// Package torture hurts the real service on a real Kafka, to see that the
// promise holds: the binary of cmd/paylink as processes that are killed,
// suspended, woken and restarted under load, brokers that are killed and
// suspended under them, and networks that delay, swallow, reset and refuse. The
// gateway is the simulator, inside the test process, so that its log is the
// truth; package history judges what came of it all.
//
// # The network
//
// Each replica can have a network of its own: one toxiproxy, used as a library,
// before its gateway address, and one before each broker. So a single replica
// can be cut from the brokers while it reaches the gateway and the others go on,
// which is how a zombie is made.
//
// Brokers advertise their own addresses, and a client dials what they say. So
// behind each broker's proxy there is a relay that reads the Kafka protocol and
// changes one thing: where Metadata and FindCoordinator answer with the address
// of a broker, it writes that of the replica's proxy. It fails the test at an
// address that has no proxy, and at any other kind of answer that tells
// addresses. The other ways were rejected: a listener per replica, advertised
// under the proxy's address, needs settings that differ from node to node, which
// kafka-local does not have, and cannot be had on a broker that is given
// (KAFKA_BROKERS, a container); namespaces and packet filters need rights that
// CI may not have.
//
// What differs from a real network: a dead broker accepts and then resets, where
// its machine would refuse (tests without proxies see that); requests and
// answers pass the relay as wholes; and "reset" closes the connections that are
// open already in an orderly way, toxiproxy resets only those that begin later.
//
// # Running it
//
// Everything here is tests behind the build tag "integration"; package realkafka
// says where their brokers come from (KAFKA_HOME, KAFKA_LOCAL, KAFKA_BROKERS). Without more
// they run in their short forms: 90 s of TestTorture, 30 s of it on one broker,
// a few minutes in all. With TORTURE=10m in the environment (make torture) tests
// run in their long forms, and TestTorture for that long. Every run prints its
// seed; TORTURE_SEED repeats the choices of one, though not the moments at which
// they fall. What a failed test says of its replicas is their last lines; all of
// it is in a file that it names.
package torture
