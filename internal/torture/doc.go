// Package torture hurts the real service on a real Kafka, to see that the
// promise holds: the binary of cmd/paylink as processes that are killed,
// suspended, woken and restarted under load, and brokers that are killed and
// suspended under them. The gateway is the simulator, inside the test process,
// so that its log is the truth; package history judges what came of it all.
//
// Everything here is tests behind the build tag "integration". Without more
// they run in their short forms, a few minutes in all. With TORTURE=10m in the
// environment (make torture) each runs in its long form, and TestTorture for
// that long. Every run prints its seed; TORTURE_SEED repeats the choices of one,
// though not the moments at which they fall.
package torture
