package replay

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"paylink/internal/event"
)

// WritePlaces writes places as kafka-consumer-groups.sh exports them, one line
// "topic,partition,offset" each.
func WritePlaces(w io.Writer, places []event.Place) error {
	for _, p := range places {
		if _, err := fmt.Fprintf(w, "%s,%d,%d\n", p.Topic, p.Partition, p.Offset); err != nil {
			return err
		}
	}
	return nil
}

// ReadPlaces reads such lines, for a topic and a group. Lines may begin with a
// group; those of other groups are passed over, as that tool does.
func ReadPlaces(r io.Reader, group, topic string) (map[int32]int64, error) {
	b := bufio.NewReader(r)
	if mark, _ := b.Peek(3); string(mark) == "\xef\xbb\xbf" { // as some editors begin a file
		_, _ = b.Discard(len(mark))
	}
	in := csv.NewReader(b)
	in.FieldsPerRecord, in.Comment, in.TrimLeadingSpace, in.LazyQuotes = -1, '#', true, true
	out := map[int32]int64{}
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := in.FieldPos(0)
		if strings.HasPrefix(fields[0], "paylink: ") { // what a verb said above the lines that undo it
			continue
		}
		if len(fields) == 4 {
			if fields[0] != group {
				continue
			}
			fields = fields[1:]
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %d: want topic,partition,offset", line)
		}
		if fields[0] != topic {
			return nil, fmt.Errorf("line %d: it is about topic %q, not %s", line, fields[0], topic)
		}
		partition, err1 := strconv.ParseInt(strings.TrimSpace(fields[1]), 10, 32)
		offset, err2 := strconv.ParseInt(strings.TrimSpace(fields[2]), 10, 64)
		_, twice := out[int32(partition)]
		switch {
		case err1 != nil || err2 != nil || partition < 0 || offset < 0:
			return nil, fmt.Errorf("line %d: want a partition and an offset, both whole numbers", line)
		case twice:
			return nil, fmt.Errorf("line %d: partition %d stands there twice", line, partition)
		}
		out[int32(partition)] = offset
	}
}

// placesOf lists offsets of a topic by partition.
func placesOf(topic string, offsets map[int32]int64) []event.Place {
	var out []event.Place
	for p, o := range offsets {
		out = append(out, event.Place{Topic: topic, Partition: p, Offset: o})
	}
	slices.SortFunc(out, func(a, b event.Place) int { return int(a.Partition) - int(b.Partition) })
	return out
}

// KeepPlaces replaces a file by one with these places, or leaves it as it is.
func KeepPlaces(file string, places []event.Place) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	err = errors.Join(WritePlaces(f, places), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // a leftover, of no use to anybody
	}
	return err
}
