//go:build integration && linux && race

package torture

// bombRounds is fewer with the race detector, which is in the way of making bombs: ten
// rounds take it seven minutes and 9 GB.
const bombRounds = 1
