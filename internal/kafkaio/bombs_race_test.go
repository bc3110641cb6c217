//go:build race

package kafkaio_test

// bombsEach is how many bombs of each kind are thrown: fewer where the race detector
// makes packing and unpacking ten times slower.
const bombsEach = 1
