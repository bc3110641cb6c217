//go:build integration && linux && !race

package torture

// bombRounds is how often each bomb falls on each partition: ten times what was found
// to kill.
const bombRounds = 10
