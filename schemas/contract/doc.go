// Package contract holds the contract's records as Go types: those of Protobuf,
// as protoc-gen-go makes them, and those of Avro. Everything but this file and
// text.go is generated; run go generate ./schemas.
package contract
