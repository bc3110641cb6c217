// Package pace decides when the next call of the gateway may go: how fast a
// merchant may be called (Limit), how often a retry may go while the gateway
// fails (Budget), how long to back off (Backoff), when to stop calling at all
// (Breaker), how many calls may be in flight (Adaptive). It is arithmetic:
// every function takes the time, none waits, none locks, none knows what a call
// is. The engine asks and acts.
//
// # Why not a library
//
// Each of these exists, well kept; we looked, and do not use them for this:
//
//   - golang.org/x/time/rate takes the time as an argument, and is what a Limit
//     would be in one process. But its state is one bucket that fills evenly: it
//     knows no slots, so replicas with a bucket each call at the same instant,
//     every replica that starts brings a full bucket along, and a share that
//     moves counts twice for a moment. And its burst is a whole number of
//     events, so that it cannot allow a late timer a fifth of one, without which
//     a limit of 200/s ends at 180/s.
//   - failsafe-go's circuitbreaker decides much as ours, but by its own clock
//     (config.clock, which no option sets), opens a whole step after half-open,
//     with no ramp, and counts results of calls from before it opened.
//   - failsafe-go's adaptivelimiter measures latency itself, by its own clock,
//     and moves its limit by log10 of it once a second: from 1024 to 100 takes
//     five minutes, and as long back.
//   - failsafe-go's budget bounds the share of retries among the calls in
//     flight, not of the rate.
package pace
