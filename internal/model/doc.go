// Package model holds the protocol behind the promise (fence, ledger, append,
// commit; internal/README.md, "The protocol behind the promise") as a small
// machine whose every state is searched.
// It is for readers and tests; the service does not know it.
//
// Two members share one partition with two intents. The gateway honours no key:
// each call may make a payment, and answers may be lost. Members crash, and
// pause for as long as they like: a pause is no action, because whoever takes no
// step pauses, between any two steps. The group hands the partition over, also
// to the same member anew, at any moment, and tells nobody: who has not heard of
// it is a zombie. None of this is bounded: see State. An append that was sent may
// arrive at any later time, or never, and again.
//
// # Actions
//
//   - HandOver, Notice: the group; kafkaio member.apply, member.lose.
//   - Take: "fix the ledger's start offset first"; claim.prepare, ledger.begin.
//   - InitProducer, EndTxn: "a new epoch", "an empty transaction"; claim.fence.
//     AddPartitionsToTxn is one step with EndTxn.
//   - FencedOut: fenced by somebody while fencing; claim.fenceAndRead.
//   - Marker: "the marker is written after EndTxn answers".
//   - Read: "until the marker with our own producer id and epoch comes by";
//     ledger.read, then appender.resume and appender.load. All intents are looked up
//     right after the first reading, when least is known; core.begin.
//   - Call: core.start, which looks into the ledger once more. The model
//     does not, so that it searches more than can happen. A call
//     that is not answered is made again, which is no change of state.
//   - Send, Append, Deliver: "plain idempotent batches", "the same bytes until
//     acknowledged"; appenders.dispatch, appender.judge, appender.landed. An answer may
//     be late, be that to a repeat (DUPLICATE_SEQUENCE_NUMBER), or never come.
//   - Refused: "INVALID_PRODUCER_EPOCH: ask the group"; appender.broken,
//     claim.keepFence. RefusedBlind, FencedOutBlind: the group does not answer.
//   - Renew: "fence again at least every 12 h"; claim.keepFence.
//   - Commit: "with generation and member id"; member.commit.
//   - GhostInit, GhostEnd: requests that arrive after their sender has died or
//     given up on them, lost answers, and what the coordinator does by itself
//     with a transaction that stays open.
//
// # What holds
//
// In all 269,213 states S1, S2 and L1 hold, and no commit moves the offset back,
// whether leases are worth anything or not: there every zombie calls and
// appends. L1 is shown for the weakest fairness there is: that something happens
// that is no fault. Wherever the faults stop, every order of the other steps
// (zombies' steps and late arrivals are among them) ends, and ends with all
// intents answered and committed; there are no circles. So it holds, too, if
// each member, request and answer has its turn in the end.
//
// Leases are needed for one thing: with them (14,701 states) no intent is called
// that the caller's ledger knows as answered. Without them one may be, if its
// turn came before a zombie answered it and a new fence showed that. Its answer
// is dropped.
//
// Each thing left out breaks a property; go test -v prints how. The generation
// of a commit guards nothing but the offset from going back. The start of the
// ledger matters because a look-up by time is taken to see no markers. Apache
// Kafka's sees them; there LateStart does no harm, nor TornStart while an owner
// fences more often than the ledger's window is long, so that whoever can append
// has a marker in it.
//
// # What is not in the model
//
// Leases as clocks (they are perfect, or absent); batches of several records and
// their splitting; the order of a key, duplicates and conflicts; drains (a
// hand-over after the last commit is one of those in the model); the window of
// the ledger; producer ids that brokers forget and epochs that run out (design,
// "where the fence ends"); loss of acknowledged records by brokers; dead letters;
// a repeat of a commit that is overtaken by the next of its generation, which
// moves the offset back and costs reading only.
//
// Tests search two members and two intents. With the constants changed by hand
// the same held for two members and three intents (3,789,088 states), three and
// one (727,741), and, with leases, three and two (165,498).
package model
