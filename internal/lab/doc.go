// Package lab is the crash laboratory: thousands of hostile histories of the
// real service, each decided by one seed, and each judged by the promise.
//
// A seed is drawn into a plan (draw): what stands on the intent topic and when,
// and what goes wrong and when. The plan is data, made before anything runs, so
// it can be told as a timeline and made smaller. It is performed (perform) by
// several members, each of them service.Run from its settings to its last commit,
// with kfake as the brokers and gatewaysim as the gateway, on a virtual network,
// in one testing/synctest bubble: hours of timeouts pass in milliseconds. When
// the plan is over, everything is mended, and the run waits until all is settled
// and committed, ten virtual minutes at most. Then history.Judge has the word.
// It must find nothing.
//
// Then the operator's verbs are run, verify and of every third seed reconcile, on the
// topics and the gateway as they are (verbs_test.go). Line by line they must say what follows from
// what the judge knows (agree_test.go): no finding more, none less, every count, and
// of every intent its class with both payments. In two of five plans a stranger spoils
// topics and gateway before (tamper_test.go), for what a good service never does must
// be found too: a second outcome, one that answers another's record, a second payment,
// an intent, a conflict and garbage that are skipped, an intent that is not read.
// A difference breaks the rule "verify" or "reconcile", and is told like any other.
// After one history of twelve the outcome topic is deleted and made again, and "replay
// unanswered" is run without --execute: it must not emit anybody who was answered
// (forget_test.go).
//
// In some plans an operator makes mistakes (heal_test.go): all members are stopped and
// the offsets set to the end, over intents that nobody has answered; or the registry
// denies its schemas for a while, so that intents are buried. When all is mended and
// settled, "replay unanswered" and "redrive" are run with --execute, as cmd/paylink does,
// while the service goes on. In three of four such plans the first run is interrupted, by
// a network that breaks half-way, before a transaction is committed, or after. Then the
// judge must find that every intent has its outcome, and one. Each verb must have emitted
// exactly what was missing, once (rules "replay unanswered" and "redrive"), and reconcile
// is run as well.
//
//	make lab                 1,000 seeds
//	make lab SEED=17         one seed, with its timeline and all that was said
//	make lab MINUTES=30      fresh seeds for half an hour
//	make mutants             proves that the laboratory can fail, see below
//
// A seed that fails is made smaller before it is told: faults are left out, then
// intents, as long as the same rule stays broken.
//
// # What goes wrong
//
// To members: killed without a word, with requests on their way that arrive when
// they are dead; frozen (no byte in or out, and nobody is told), or only towards
// Kafka, and thawed as zombies; cut off from Kafka, from the gateway; stopped,
// joined, started anew, also while partitions are handed over; some plans have
// static members. To requests, of every kind that the service sends: lost,
// carried out with the answer lost, late by less or more than a session, refused
// with the errors that brokers give. To brokers: leaders and coordinators move, a
// broker goes and comes back, freezes; partitions are added; a stranger breaks a
// fence; an operator resets the offsets. To the gateway: all it does at its worst
// (gatewaysim), in mixes, with each of its three answers to a repeated key; down;
// another secret; every answer written twice, while one call follows upon the other. To
// the schema registry, in plans that have one: cut off, frozen, or a proxy answers in
// its place; meanwhile records come that name schemas nobody
// has asked for yet. To clocks: the wall clock of one member, or of all, is set
// forward or back. On the input: upstream duplicates, conflicts, broken intents,
// garbage, records of transactions that are aborted, committed, or open for a
// while, intents that expire. Records have times that are none, in other units or of
// another age, and so has expires_at. Intents come in bursts and around their
// merchant's rate, or are hours old when members start. Of one order only, signed or
// not, for a while or for ever, the gateway says that our credentials are wrong; or it
// says so of every look-up, while Init works. Calls come late, when their sender is
// dead and the next owner has looked. Joins are lost, with heartbeats that come late.
// A fence is begun by requests of a former owner, and nobody ends it.
//
// To topics: the largest record that outcomes or dead letters may have is made smaller
// and larger again, also right after a batch has landed whose answer is lost; then the
// same batch is refused when it comes again. Brokers take exception to records, also
// when they come again. The oldest intents are deleted, or the oldest outcomes, also all
// of them, and then partitions change hands or offsets are set back. Records unpack to
// far more than their size, as values or as headers, in one batch with intents that are
// large themselves. To folders that ledgers are kept in, in every other plan: a process
// that starts anew finds that of its last life, of an earlier one, a damaged one, an
// empty one, or none. To credentials: a merchant's secret changes for good at the gateway,
// and a while after or before in the members' file; and so does the members' password at
// the brokers, while members start, or their connections break.
//
// To notes about lent turns: they are lost, late by less or more than a loan lasts, or
// come twice; whoever lent is killed, frozen or stopped with its loan on its way, or
// partitions change hands; their topic is deleted and made again; strangers write to
// it. Intents come so far apart that each could be called at once.
//
// Frames waver: how often others run first, and by how much more a frame takes, is
// drawn of the seed too, so that a machine need not be busy for rare orders to occur.
//
// # Where it ends
//
//   - Go cannot stop a goroutine. A frozen member is one whose network is frozen
//     both ways: it runs on, believes what its lease lets it believe, and its
//     Kafka requests arrive when it thaws. What it says to the gateway meanwhile
//     never arrives: a call that a network keeps for longer than a session and
//     then delivers is beyond what any lease can prevent. A process that is really
//     suspended is the business of torture.
//   - A bubble has one clock that never jumps. So make lab compiles the laboratory
//     with a package time that has two, and whose wall clock is each member's own
//     (clocks_test.go). A plain go test leaves it as it is, and clocks stay right.
//     Where they jump, what is judged by them says nothing: the rate, whose bound
//     does not cover jumps (pace), expiry, and what rests on the times of records.
//   - A clock that is set forward by more than a rebalance lasts looks like a suspension. A
//     member that is stopped right after, in a rebalance, has no lease to publish what it
//     was answered, and the next owner calls again: Leaps excuse that (rule "repeats").
//   - kfake refuses an older epoch as soon as a newer one was given out; a real
//     leader does so from the marker on. So a fence that does not wait for its
//     marker is not found here. That it must wait, the model and the tests on a
//     real Kafka show.
//   - kfake never misses a member whose connection breaks while the coordinator
//     has its answer to a join or sync: the network keeps that end open (sever).
//   - kfake begins to count a rebalance timeout anew with each join: the network keeps
//     joins back once it is over, so that the rebalance ends (awaitGathered).
//   - kfake rebalances for a static member that comes back with other metadata, a
//     real coordinator does not: the network makes up for it (asRealCoordinator).
//   - L2 and L3 say nothing of times where clocks jump. L3 does not see how replicas
//     share a rate: it holds an intent against the worst sharing, all partitions'
//     intents at one partition's share, a tenth slower, with a fifth of the time to
//     spare. With one partition that is sharp, with four it sees only what is grossly
//     wrong. Nor does it judge the time from the first fault on until 30 s after the end
//     of the plan, fewer than 64 calls at once, or a slow gateway.
//   - How late an intent is, L2 judges from the end of the plan on, and allows a minute and
//     a half more. Who waits while a fault lasts, as beside a merchant whose calls hang, is
//     for the simulation to find.
//   - An answer that nobody asked for comes in one piece with the one before it. One that
//     comes when the next call has left cannot be told from the answer to that.
//   - No log line is judged, and nothing is looked through for secrets. Batches whose
//     records say their offsets in disorder do not occur, nor what unpacks to gigabytes:
//     the tests of kafkawire have both.
//   - M1 is what the whole process holds, with all seeds that are performed at the
//     same time, brokers and gateway included: it sees a flood. For leaks make lab
//     compiles members that hold a sixteenth of what they may (narrow): what is not
//     given back stops them, which is L1. And what is larger than anything that may be
//     held must be buried as that. Nothing is packed with zstd: its decoders are
//     shared by the whole process, and must not live in a bubble.
//   - Whose turn a call was is not seen from outside. S5 counts as members those that
//     called, and those that said a loan for which one of the calls may have been
//     made. A loan that is used late or twice makes one call more in a window that
//     may hold one more by then: it is for the simulation to find (make sim).
//   - An outcome that was deleted is not known to a new owner, so nothing comes again
//     in a plan that deletes outcomes, no clock jumps, and no record's time is wrong by
//     less than an hour. Nor is anything a conflict where limits or records go. That an
//     intent is too old is believed up to a minute after the first outcome that is left.
//   - Outcomes and intents are deleted at once, as by DeleteRecords: retention itself,
//     with its segments, is not performed, and dead letters stay.
//   - Who is refused a new login and shows the one before is no rule's business: all that
//     is judged is that the members go on. kfake hangs up where a real broker says why.
//     Connections are not asked to log in again (KIP-368).
//   - A strange order that is refused for ever expires after four minutes: with none
//     of its merchant behind it, it would wait until it is given up, an hour.
//   - kfake refuses what is appended while a transaction of the same producer is open;
//     a real leader, only once that has records in the partition.
//   - Nothing comes again in a plan with an operator's mistakes: an emitter's own repeat of
//     an intent that was passed over after a call is new to the service, and if it expires
//     at once its outcome says that no payment exists.
//   - A look-up that denies a payment that exists is left out: paylink believes
//     it, and S6 cannot hold then.
//
// What the verbs say cannot be held against the judge everywhere:
//
//   - They read committed records of what is left. What was deleted they cannot know: an
//     intent whose outcome was deleted is beyond reach to verify, or lost, if its record's
//     time is too young; and a second outcome is none if the first was deleted. So it is
//     expected.
//   - Verify has no word for a dead letter of a record that was never committed (S7), nor
//     for what happened on the way to the end (S2 to S6, and the rules of calls).
//   - Ages are not compared, because records have wrong times: reconcile is run with a
//     give-up age of zero, so that no intent is too young to be missed. "malformed" does
//     not occur: nobody writes broken outcomes here. Nor do "differs" and "unasked": the
//     gateway is kind by then, and says what its payments are. The tests of
//     cmd/paylink have all of these.
//   - The simulator finds the newest payment of an order. Which one the real gateway
//     finds nobody knows.
//
// # The same seed, the same history?
//
// The plan is the same. The history need not be: the runtime chooses which
// goroutine runs next and which case of a select, and kafka-go and the backoff
// draw from chance that cannot be seeded. Measured (LAB_REPRODUCE=30, five runs
// of each seed): in half of the repeats every intent had the same kind of outcome
// after as many calls, in one of eight every call was the same to the millisecond;
// one processor or two made no difference. So a failure is told with how often its
// smallest plan fails, and a finding that is mended gets a test of its own in the
// room concerned, not a seed alone.
//
// # It can fail
//
// Each of these deliberate mistakes (mutants_test.go) is compiled into a
// laboratory of its own, which has to find it within 200 seeds. Seeds until found,
// and the rules that were broken, as measured; a run more or less changes some of
// them. All took nine minutes on two busy processors. CI allows 1,000, so that chance
// alone breaks nothing.
//
//	committed before it is acknowledged                     5  S6 once
//	no fence                                                6  L1
//	ledger not read to the marker                           5  S1 once
//	any marker of ours will do                              6  S1
//	ledger not asked before a call                          5  once
//	a new key for every call                                1  S4
//	a wrong signature believed                             35  S6
//	an unsigned answer believed                            12  S6
//	a link not looked at                                    5  S6
//	share of the rate kept when it is revoked              72  S5
//	dead letter not waited for                             70  S2
//	dead letter's error ignored                             8  S2 L1
//	calls in flight not bounded                             4  bound
//	aborted records passed on                               5  S7 verify
//	control records passed on                               1  verify
//	intents read uncommitted                                5  S7
//	lease always live                                     119  once repeats
//	drain does not wait                                    45  repeats
//	doubt forgotten                                        12  S6
//	conflict not noticed                                    5  S2 L1
//	order of keys ignored                                   4  S3
//	committed ahead of a gap                                1  S2 L1
//	repeated under a new sequence                          18  S1
//	answers in hand dropped when the fence is made anew     3  L1
//	a duplicate denies the payment                         12  S6
//	expires_at ignored                                      4  expiry
//	an unsigned refusal believed                           43  S6
//	calls of an owner before forgotten                     69  S6
//	a registry that is down takes a schema for unknown      4  L1
//	a proxy's 404 takes a schema for unknown                4  L1
//	lease by the wall clock alone                         122  lease
//	deadlines by the wall clock alone                      50  L1
//	without a commit, from the end                          4  S2 L1
//	a strange order holds its merchant                      7  L2
//	a refused look-up holds the lane                       32  L1
//	last looks take the whole rate                         34  L3
//	times of records taken as they are                      1  L3
//	too large at once, though it may have landed           43  L1
//	an emptied log knows everything                        32  S1
//	a ledger on disk believed beyond its end               12  S1
//	large records stay held                                38  L1
//	a new secret not taken up                               1  L1
//	a new login not taken up                               12  L1
//	a turn that is lent is kept too                        48  S5
//	not found clears the doubt at once                    163  S6
//	the verbs do not see that outcomes were made again     55  replay unanswered
//	what nobody asked for answers the next call            24  S6 once
//	verify takes a second outcome for none                  2  verify
//	verify takes a conflict for a repeat                    2  verify
//	verify overlooks answers to nobody                      2  verify
//	verify calls nothing lost                               2  verify
//	reconcile matches another payment                      24  reconcile
//	reconcile overlooks payments without outcome            6  reconcile
//	reconcile overlooks payments of failed intents         12  reconcile
//	the verbs read uncommitted                              5  verify
//	replay emits what is answered                           4  replay unanswered redrive
//	redrive forgets its notes                               4  redrive
//	what is emitted again was never called for              5  S6
//
// Three that undo newer mends are not in the list, as none was found for sure yet: an
// invalid record "made anew, though it may have landed", "deleted answers of an owner
// before forgotten" and "what fits no memory is held". The second was found as it stood
// in the service: seeds 320, 425, 469 and 550 (S1).
//
// Four are not among them. "A fence that stands open half-way is waited for" was not
// found within 600 seeds; a test of kafkaio finds it (fence_test.go). Nor were "read
// again all at once" (kafkaio/budget_test.go) and "arrivals overtake what waits"
// (schedule/backlog_test.go): what is due sooner is loaded besides since, so that one
// call at most is overtaken.
// And a gateway that is down and that nobody probes, as those who would have were
// handed over (seed 553 of an early laboratory): 200 seeds are too few for it.
package lab
