package kafkaio

import "strings"

// SetBackNote is what to commit beside an offset that an operator sets, of the note
// that stands beside the one of now. What it knows of the topics stays: without it
// the next owner would not see that outcomes were lost. Who fenced last goes, so that
// nobody takes the offset for one that an owner has come to.
func SetBackNote(metadata string) string {
	rest, ours := strings.CutPrefix(metadata, "fence ")
	_, rest, whole := strings.Cut(rest, " ")
	if !ours || !whole {
		return ""
	}
	return "fence -1 " + rest
}
