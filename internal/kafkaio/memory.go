package kafkaio

// # Memory
//
// Whatever stands in the topics, the process stays below 512 MB with default
// settings (M1), beside the ledger's bytes per answered intent. This is what it is
// made of:
//
//	records    160 MiB  all that is held of intents, headers included, and the answers
//	                    they came in (heldBytes); a partition has heldShare of it for
//	                    itself, whatever the others do. From 64 partitions in one process
//	                    on it is heldShare for each of them.
//	answers     40 MiB  that are being read: maxFetchBytes per broker, mostReading of
//	                    the ledger and of records read again
//	a large one 32 MiB  one answer that is larger than usual (kafkawire.Raw); of what is
//	                    larger still only the beginning is kept
//	unpacking   70 MiB  mostUnpacking batches at a time, each with the window of its
//	                    compression and one record
//	backlog    130 MiB  entries, offsets of records that are not loaded (pipeline.mostBacklog)
//	the rest    50 MiB  the program itself, connections, metrics, and 3 MiB to write a ledger to disk
//
// They are not all at their most at once, and Go's collector is told to keep below
// the bound (service.limitMemory), so that its headroom is not on top of it.
//
// A record larger than kafkawire.MaxRecord fits no budget: it is read past, and gets
// a dead letter by reference. What there is no room for yet waits at the broker.
const (
	heldBytes     = 160 << 20
	heldShare     = 2560 << 10 // an answer of the usual size, and the largest record
	mostUnpacking = 4
	mostParked    = 2 // of those, that wait for room in the middle of a batch
	mostReading   = 8
)
