package event

import (
	"strings"

	"github.com/twmb/avro"
)

// Where a schema lets a record choose, a few bytes of it can become very much memory: an
// item of a list may be a record with a thousand fields that take no bytes. What a
// schema makes of one byte at most is therefore reckoned once, and says how large a
// record of it may be.

// What reading one record may take: memory for the fields that are kept, and work,
// reckoned as if it were memory, for all that is skipped.
const (
	mostMemory = 112 << 20
	mostWork   = 64 * mostMemory

	mostHeavier = 16 // a record that may take more than this part of mostMemory is read alone
)

// What values take in memory, about.
const (
	loadValue  = 64
	loadList   = 112 // also of a map
	loadRecord = 400
	loadMember = 256
	loadEntry  = 128
	emptyItems = 4096 // of a list whose items take no bytes: more the library does not take
)

// A load is what values of a type take: at least so many bytes of a record, and so
// much memory, but for what they choose.
type load struct{ least, memory int }

// avroTypes are the types of a schema that have names, by the last part of the name.
// Where several have the same one, all are meant: that is enough for a bound.
type avroTypes struct {
	named map[string][]*avro.SchemaNode
	loads map[*avro.SchemaNode]load
	seen  map[*avro.SchemaNode]bool
}

func typesOf(root *avro.SchemaNode) *avroTypes {
	t := &avroTypes{named: map[string][]*avro.SchemaNode{}, loads: map[*avro.SchemaNode]load{}}
	t.collect(root)
	return t
}

func (t *avroTypes) collect(n *avro.SchemaNode) {
	if n.Name != "" {
		t.named[lastName(n.Name)] = append(t.named[lastName(n.Name)], n)
	}
	for _, inner := range parts(n) {
		t.collect(inner)
	}
}

func lastName(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// parts are the types that stand in a type.
func parts(n *avro.SchemaNode) (all []*avro.SchemaNode) {
	for i := range n.Fields {
		all = append(all, &n.Fields[i].Type)
	}
	for i := range n.Branches {
		all = append(all, &n.Branches[i])
	}
	if n.Items != nil {
		all = append(all, n.Items)
	}
	if n.Values != nil {
		all = append(all, n.Values)
	}
	return all
}

// find returns the definition of a full name, or the type itself.
func (t *avroTypes) find(n *avro.SchemaNode) *avro.SchemaNode {
	for _, d := range t.named[lastName(n.Type)] {
		if fullName(d) == n.Type {
			return d
		}
	}
	return n
}

// load reckons what values of a type take.
func (t *avroTypes) load(n *avro.SchemaNode) load {
	if l, ok := t.loads[n]; ok {
		return l
	}
	t.loads[n] = load{} // a record within itself has no values
	l := load{1, loadValue}
	switch n.Type {
	case "null":
		l.least = 0
	case "array", "map":
		l.memory = loadList
	case "fixed":
		l = load{n.Size, loadValue + n.Size}
	case "record", "error":
		l = load{0, loadRecord}
		for i := range n.Fields {
			f := t.load(&n.Fields[i].Type)
			l = load{least: within(l.least + f.least), memory: within(l.memory + loadMember + f.memory)}
		}
	default:
		for i, d := range t.named[lastName(n.Type)] {
			if one := t.load(d); i == 0 {
				l = one
			} else {
				l = load{min(l.least, one.least), max(l.memory, one.memory)}
			}
		}
	}
	t.loads[n] = l
	return l
}

// within keeps a sum of the absurd from running over.
func within(n int) int { return min(n, 1<<40) }

// perByte is the most that one byte of a record becomes, where it chooses within types.
func (t *avroTypes) perByte(types ...*avro.SchemaNode) int {
	t.seen = map[*avro.SchemaNode]bool{}
	most := 0
	for _, n := range types {
		most = max(most, t.chosen(n))
	}
	return most
}

func (t *avroTypes) chosen(n *avro.SchemaNode) (most int) {
	if t.seen[n] {
		return 0
	}
	t.seen[n] = true
	for i := range n.Branches {
		l := t.load(&n.Branches[i])
		most = max(most, l.memory/(1+l.least))
	}
	if n.Items != nil {
		l := t.load(n.Items)
		if most = max(most, l.memory/max(1, l.least)); l.least == 0 {
			most = within(l.memory * emptyItems / 3) // a list in a list takes three bytes
		}
	}
	if n.Values != nil {
		l := t.load(n.Values)
		most = max(most, (loadEntry+l.memory)/(1+l.least))
	}
	for _, inner := range append(parts(n), t.named[lastName(n.Type)]...) {
		most = max(most, t.chosen(inner))
	}
	return most
}

// mostBytes says how large a record may be of which some fields are kept and all others
// skipped. Zero: no record can be read.
func (t *avroTypes) mostBytes(record *avro.SchemaNode, kept []avro.SchemaField) int {
	var types []*avro.SchemaNode
	own := loadRecord
	for i := range kept {
		types = append(types, &kept[i].Type)
		own = within(own + loadMember + t.load(&kept[i].Type).memory)
	}
	if own > mostMemory || t.load(record).memory > mostWork {
		return 0
	}
	return min(mostMemory/max(1, t.perByte(types...)), mostWork/max(1, t.perByte(record)))
}
