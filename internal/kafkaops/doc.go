// Package kafkaops is the operator's side of Kafka: it makes and describes the
// topics, checks what the service needs of the brokers, scans ranges of records,
// and puts records on a topic again with notes of what was done (Emitter), on the
// same primitives as the service (kafkaio). It joins no group.
package kafkaops
