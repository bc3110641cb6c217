package event

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

// Our own headers of a dead letter, all text. Offsets and partitions are
// decimal, the timestamp is RFC 3339 in UTC, or empty if the record had none.
const (
	HeaderReason          = "paylink-reason"           // a DeadReason
	HeaderError           = "paylink-error"            // a sentence
	HeaderSourceTopic     = "paylink-source-topic"     // where the original stands
	HeaderSourcePartition = "paylink-source-partition" //
	HeaderSourceOffset    = "paylink-source-offset"    //
	HeaderSourceTimestamp = "paylink-source-timestamp" //
	HeaderByReference     = "paylink-by-reference"     // "true": the original was too large to copy
	HeaderSourceSize      = "paylink-source-size"      // with it: bytes of the original's value, or of the record, if known
)

// Headers that Spring for Apache Kafka adds when it publishes a dead letter:
// names from KafkaHeaders (DLT_*), encodings from DeadLetterPublishingRecoverer
// (spring-projects/spring-kafka, methods maybeAddOriginalHeaders and
// addExceptionInfoHeaders): ByteBuffer.putInt and putLong, which are
// big-endian, for numbers; UTF-8 for the rest.
const (
	springTopic         = "kafka_dlt-original-topic"
	springPartition     = "kafka_dlt-original-partition"      // int32
	springOffset        = "kafka_dlt-original-offset"         // int64
	springTimestamp     = "kafka_dlt-original-timestamp"      // int64, ms since 1970
	springTimestampType = "kafka_dlt-original-timestamp-type" // TimestampType.toString
	springGroup         = "kafka_dlt-original-consumer-group"
	springException     = "kafka_dlt-exception-fqcn"
	springCause         = "kafka_dlt-exception-cause-fqcn"
	springMessage       = "kafka_dlt-exception-message"
	springStack         = "kafka_dlt-exception-stacktrace"
)

// Headers that Kafka Connect adds: names and encodings, all of them text in
// UTF-8, from DeadLetterQueueReporter.populateContextHeaders (apache/kafka,
// connect/runtime); the words of "stage" from the enum Stage beside it.
const (
	connectTopic     = "__connect.errors.topic"
	connectPartition = "__connect.errors.partition"
	connectOffset    = "__connect.errors.offset"
	connectName      = "__connect.errors.connector.name"
	connectTask      = "__connect.errors.task.id"
	connectStage     = "__connect.errors.stage"
	connectClass     = "__connect.errors.class.name"
	connectException = "__connect.errors.exception.class.name"
	connectMessage   = "__connect.errors.exception.message"
	connectStack     = "__connect.errors.exception.stacktrace"
)

// What stands where those tools write names of Java classes.
const (
	exceptionName = "paylink.event.Unreadable"
	className     = "paylink.event.Decoder"
)

// DeadLetter makes a dead letter of a record: key (also none), value and
// headers as they were, and headers that say why and from where. Headers of an
// earlier burial, if the record was redriven, are replaced. A trace that came by
// CloudEvents is added as headers of its own. Its time is now,
// and not the record's: topics delete by time, and what is buried for being
// too old must not be gone at once.
func DeadLetter(m Message, from Place, group string, why *Unreadable, now time.Time) Message {
	hs := make([]Header, 0, len(m.Headers)+len(burial)+2)
	for _, h := range m.Headers {
		if !burial[h.Key] {
			hs = append(hs, h)
		}
	}
	if !validTraceParent(m.Header(headerTraceParent)) {
		hs = append(hs, traceOf(m, envelopeOf(m))...)
	}
	hs = appendBurial(hs, m, from, group, why)
	return Message{Key: m.Key, Value: m.Value, Headers: hs, Time: now}
}

// maxReferenceKey is the largest key that a dead letter by reference keeps.
const maxReferenceKey = 4 << 10

// DeadLetterByReference makes a dead letter for a record that is too large to
// copy: without value and without the record's headers, but for its trace. The
// headers say where the original stands, for as long as its topic keeps it.
func DeadLetterByReference(m Message, from Place, group string, why *Unreadable, now time.Time) Message {
	hs := appendBurial(traceOf(m, envelopeOf(m)), m, from, group, why)
	hs = append(hs, Header{HeaderByReference, []byte("true")})
	if m.TooLarge >= 0 {
		hs = append(hs, Header{HeaderSourceSize, strconv.AppendInt(nil, max(m.TooLarge, int64(len(m.Value))), 10)})
	}
	key := m.Key
	if len(key) > maxReferenceKey {
		key = nil
	}
	return Message{Key: key, Headers: hs, Time: now}
}

// BeyondBudget says why a record was read past: it takes more memory than any may, is in
// an old format, or cannot be read at all. The size is what Message.TooLarge says.
func BeyondBudget(size int64) *Unreadable {
	switch size {
	case Undecodable:
		return &Unreadable{Reason: UnknownSchema, Text: "the batch, though its checksum is right, holds nothing from this offset on that can be " +
			"unpacked into records: this is a reference to all of it; mend what compresses or writes it, and emit again what it held"}
	case OldFormat:
		return &Unreadable{Reason: UnknownSchema, Text: "the record is in a message format of Kafka before 0.11, which is not read: " +
			"this is a reference to it; emit the intent again with a newer client"}
	}
	if size < 0 {
		return &Unreadable{Reason: TooLarge, Text: "the batch takes more to unpack than a batch may: this is a reference to what is not " +
			"read of it from this offset on; emit it again in smaller batches, as producers usually make them"}
	}
	return &Unreadable{Reason: TooLarge, Text: fmt.Sprintf("the record takes %d bytes in its batch, and unpacked, with its headers, more "+
		"than a record may: this is a reference to it; emit the intent again without what makes it large", size)}
}

func appendBurial(hs []Header, m Message, from Place, group string, why *Unreadable) []Header {
	put := func(key, value string) { hs = append(hs, Header{key, []byte(value)}) }
	partition, offset := strconv.Itoa(int(from.Partition)), strconv.FormatInt(from.Offset, 10)
	kind, millis, stamp := timestamp(m)

	put(HeaderReason, string(why.Reason))
	put(HeaderError, why.Text)
	put(HeaderSourceTopic, from.Topic)
	put(HeaderSourcePartition, partition)
	put(HeaderSourceOffset, offset)
	put(HeaderSourceTimestamp, stamp)

	put(springTopic, from.Topic)
	hs = append(hs,
		Header{springPartition, binary.BigEndian.AppendUint32(nil, uint32(from.Partition))},
		Header{springOffset, binary.BigEndian.AppendUint64(nil, uint64(from.Offset))},
		Header{springTimestamp, binary.BigEndian.AppendUint64(nil, uint64(millis))})
	put(springTimestampType, kind)
	put(springGroup, group)
	put(springException, exceptionName)
	put(springMessage, why.Error())
	put(springStack, exceptionName+": "+why.Error())

	put(connectTopic, from.Topic)
	put(connectPartition, partition)
	put(connectOffset, offset)
	put(connectName, group)
	put(connectTask, "0")
	put(connectStage, stage(why.Reason))
	put(connectClass, className)
	put(connectException, exceptionName)
	put(connectMessage, why.Error())
	put(connectStack, exceptionName+": "+why.Error())
	return hs
}

// Unburied is the record that a dead letter was made of: the same key and value,
// without the headers that say why and from where.
func Unburied(m Message) Message {
	out := Message{Key: m.Key, Value: m.Value, TooLarge: m.TooLarge}
	for _, h := range m.Headers {
		if !burial[h.Key] {
			out.Headers = append(out.Headers, h)
		}
	}
	return out
}

// burial names the headers of a dead letter that a further one replaces.
// Spring's cause is among them because it belongs to its exception.
var burial = map[string]bool{
	HeaderReason: true, HeaderError: true, HeaderSourceTopic: true, HeaderSourcePartition: true,
	HeaderSourceOffset: true, HeaderSourceTimestamp: true, HeaderByReference: true, HeaderSourceSize: true,
	springTopic: true, springPartition: true, springOffset: true, springTimestamp: true, springTimestampType: true,
	springGroup: true, springException: true, springCause: true, springMessage: true, springStack: true,
	connectTopic: true, connectPartition: true, connectOffset: true, connectName: true, connectTask: true,
	connectStage: true, connectClass: true, connectException: true, connectMessage: true, connectStack: true,
}

// timestamp returns a record's timestamp: its type as Kafka's TimestampType
// prints it, in milliseconds as the protocol has it (-1: none), and as text.
func timestamp(m Message) (kind string, millis int64, text string) {
	switch {
	case m.Time.IsZero():
		return "NoTimestampType", -1, ""
	case m.BrokerTime:
		kind = "LogAppendTime"
	default:
		kind = "CreateTime"
	}
	return kind, m.Time.UnixMilli(), timeText(m.Time)
}

// stage is the word of Connect's enum for where a record failed.
func stage(r DeadReason) string {
	switch r {
	case Conflict, TooOld, TooLarge:
		return "TASK_PUT"
	}
	return "VALUE_CONVERTER"
}

// BuriedFrom returns where the original of a dead letter stands. False: the
// record carries no such headers, or broken ones.
func BuriedFrom(m Message) (Place, bool) {
	partition, err := strconv.ParseInt(string(m.Header(HeaderSourcePartition)), 10, 32)
	if err != nil {
		return Place{}, false
	}
	offset, err := strconv.ParseInt(string(m.Header(HeaderSourceOffset)), 10, 64)
	if err != nil {
		return Place{}, false
	}
	p := Place{string(m.Header(HeaderSourceTopic)), int32(partition), offset}
	return p, p.Topic != ""
}
