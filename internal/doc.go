// Package internal holds the rooms of paylink. Each room has one purpose, said
// in its package comment, and a door no wider than needed; who may enter which
// room is the map in doc_test.go, which a test compares with what is imported.
package internal
