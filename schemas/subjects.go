package schemas

// A Naming says under which subject of a registry a schema stands. The words
// are those of Confluent's subject name strategies.
type Naming string

// The strategies.
const (
	ByTopic       Naming = "topic"        // <topic>-value; outcomes are written as Outcome
	ByRecord      Naming = "record"       // the record's full name; outcomes are Created or Failed
	ByTopicRecord Naming = "topic-record" // <topic>-<full name>; as ByRecord
)

// Subject returns the subject of a record's schema in a topic.
func (n Naming) Subject(topic string, r Record) string {
	switch n {
	case ByRecord:
		return r.FullName()
	case ByTopicRecord:
		return topic + "-" + r.FullName()
	}
	return topic + "-value"
}

// Outcomes returns the records that outcomes are written as: one subject holds
// one type of record, so a subject of a topic holds Outcome.
func (n Naming) Outcomes() []Record {
	if n == ByRecord || n == ByTopicRecord {
		return []Record{Created, Failed}
	}
	return []Record{Outcome}
}
