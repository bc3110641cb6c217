// Package model holds the protocol behind the promise (fence, ledger, append,
// commit; internal/README.md, "The protocol behind the promise") as a small
// machine whose every state is searched, and beside it another: how members lend
// each other turns (the last chapter). Both are searched by explore.
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
//
// # Turns that are lent
//
// The second machine (Lending, Moment) is one merchant's pace in two members, which
// is argued in pace.Limit. Time goes in ticks: a slot has two, a round two slots, a
// loan lasts two, and a gained slot is left alone for two. There is no horizon: times
// are kept as how long ago or ahead they are. TestTheModelPacesAsTheLimitDoes has the
// same happen to a pace.Limit, and finds the same turns.
//
// S5 is the bound of pace.Limit, without slack for late timers: in any time w at most
// w/T + max(burst, replicas) calls, where replicas are the lives of processes whose
// turns were used. Any call may begin a window, in which calls are counted from then
// on; so all windows are looked at.
//
//   - Tick: Limit.settle. Turn: Limit.Take, after core.start has looked at the lease.
//   - Lend: an Ask, and its answer: schedule ask and answer, Limit.Lend. Any member may
//     ask at any time. core.hear has a zombie lend nothing.
//   - Borrow: the Loan arrives, and its call is made: schedule answered, question.isOpen.
//     A Loan is under way until its Ask is two ticks old, so it may be late, or be lost.
//   - Gain, Give: the group; Limit.Own. Expel, Rejoin: a session ends, and the member
//     hears of it (member.lose, then Own). In between it is a zombie, whose limit goes
//     on as if all were as before. Slots that it had may be given to others at once.
//   - Restart: a crash. Its loans stay under way. A pause is no action, as above.
//
// An Ask that is lost, or a Decline, changes nothing, so there is no step for it. An Ask
// that is late leaves less time for its Loan: what may follow may follow without. An Ask
// that comes twice costs its lender a turn more at worst, as a second Ask would.
//
// As it is built S5 holds, with a burst of one (332,716 states) and of two (270,444).
// Two of its rules are here because this search found a way past the bound without them:
//
//   - Whoever loses a slot forfeits its next one. A zombie forfeits a slot that is
//     another's by then, for a late turn or for a loan; the other uses that slot, so that
//     in truth nothing is forfeited (NoDebt). With three slots in a round this needs no
//     loan.
//   - With a burst a gained slot is left alone for as long as a loan lasts besides. The
//     store of a member that gains slots grows when it begins to use them, and the
//     lender's turn may be called for up to an interval after the lender lost them
//     (Shorter).
//
// Tried by hand, S5 also holds with clocks that differ by a tick, which then widens the
// window (658,700 states, with a burst of two 532,504), and with three slots in a round
// (4,938,741).
//
// Each other rule of lending that is left out breaks S5. A loan that is never over for
// the one that lent it breaks Own: from every moment on, if nobody lends or calls any
// more, whoever owns slots has a turn in the end. One rule is not needed here: whoever
// owns everything may as well lend (AloneLends).
//
// Not in the model: late timers, clocks that jump or run unevenly, a changed rate or
// number of partitions, RATE_SCOPE=partition, who asks whom and how often, the topic of
// notes. More than four lives in one window are counted as if they were four.
package model
