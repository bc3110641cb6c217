// Package kafkaops is the operator's side of Kafka: it makes and describes the
// topics, checks what the service needs of the brokers, and scans ranges of
// records, on the same primitives as the service (kafkaio). It joins no group and
// publishes no record.
package kafkaops
