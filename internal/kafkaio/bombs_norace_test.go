//go:build !race

package kafkaio_test

// bombsEach is how many bombs of each kind are thrown.
const bombsEach = 10
