//go:build integration

package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"paylink/internal/history"
)

// explain says why nothing moves, as far as can be seen from outside: what is
// open in which partition, who owns it in the eyes of the group, and what the
// owner says of itself.
func (w *witness) explain(intents []history.Intent) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var b strings.Builder
	owners := w.owners(ctx, &b)
	committed, err1 := w.adm.FetchOffsets(ctx, w.group)
	ends, err2 := w.adm.ListEndOffsets(ctx, w.topics.intents, w.topics.outcomes)
	if err := errors.Join(err1, err2); err != nil {
		fmt.Fprintf(&b, "offsets: %v\n", err)
	}
	open := w.openByPartition(intents)
	var first []string
	for p := range int32(len(ends[w.topics.intents])) {
		end, _ := ends.Lookup(w.topics.intents, p)
		outcomes, _ := ends.Lookup(w.topics.outcomes, p)
		done, _ := committed.Lookup(w.topics.intents, p)
		fmt.Fprintf(&b, "partition %d: %d open, committed %d of %d, outcomes end at %d, owner %s", p, len(open[p]), done.At, end.Offset, outcomes.Offset, owners[p])
		if len(open[p]) > 0 {
			fmt.Fprintf(&b, "; the first is %s at %s", open[p][0].ID, open[p][0].At)
			first = append(first, open[p][0].ID)
		}
		b.WriteString("\n")
	}
	b.WriteString(w.secondLook(open))
	if w.ask != nil {
		b.WriteString(w.ask(first))
	}
	return b.String()
}

// owners returns who owns each partition as the group's coordinator describes it.
func (w *witness) owners(ctx context.Context, b *strings.Builder) map[int32]string {
	owners := map[int32]string{}
	groups, err := w.adm.DescribeGroups(ctx, w.group)
	if err != nil {
		fmt.Fprintf(b, "group: %v\n", err)
		return owners
	}
	g := groups[w.group]
	fmt.Fprintf(b, "group %s: state %s, %d members, coordinator %d, error %v\n", w.group, g.State, len(g.Members), g.Coordinator.NodeID, g.Err)
	for _, m := range g.Members {
		who := m.MemberID
		if w.name != nil {
			who = w.name(m.MemberID) + " (" + m.MemberID + ")"
		}
		assigned, _ := m.Assigned.AsConsumer()
		if assigned == nil {
			fmt.Fprintf(b, "%s has no assignment\n", who)
			continue
		}
		for _, t := range assigned.Topics {
			for _, p := range t.Partitions {
				owners[p] = strings.TrimSpace(owners[p] + " " + who)
			}
		}
	}
	return owners
}

// openByPartition returns what is not settled, in order of offsets.
func (w *witness) openByPartition(intents []history.Intent) map[int32][]history.Intent {
	w.mu.Lock()
	defer w.mu.Unlock()
	open := map[int32][]history.Intent{}
	for _, in := range intents {
		if w.isOpenLocked(in) {
			open[in.At.Partition] = append(open[in.At.Partition], in)
		}
	}
	for _, ins := range open {
		slices.SortFunc(ins, func(a, b history.Intent) int { return int(a.At.Offset - b.At.Offset) })
	}
	return open
}

// secondLook reads the topics anew: perhaps it is only the witness that stands still.
func (w *witness) secondLook(open map[int32][]history.Intent) string {
	outcomes, _, dead, err := w.read()
	if err != nil {
		return fmt.Sprintf("a second look at the topics: %v\n", err)
	}
	settled := map[string]bool{}
	for _, o := range outcomes {
		settled[o.Intent] = true
	}
	buried := map[history.Place]bool{}
	for _, d := range dead {
		buried[d.Source] = true
	}
	all, behind := 0, 0
	for _, ins := range open {
		for _, in := range ins {
			all++
			if settled[in.ID] || buried[in.At] {
				behind++
			}
		}
	}
	return fmt.Sprintf("a second look at the topics: %d of %d open records are settled, which the witness missed\n", behind, all)
}

// nameOf returns which replica a member of the group is.
func (f *fleet) nameOf(memberID string) string {
	for _, r := range f.replicas {
		if r.network != nil && r.network.is(memberID) || r.static && strings.HasPrefix(memberID, r.name+"-") {
			return r.name
		}
	}
	return "?"
}

// views returns what each replica that runs says of itself and of some intents.
func (f *fleet) views(intents []string) string {
	pages := []string{"/api/v1/state", "/api/v1/lanes"}
	for _, id := range intents {
		if id != "" {
			pages = append(pages, "/api/v1/intents/"+id)
		}
	}
	var b strings.Builder
	for _, r := range f.replicas {
		if r.proc == nil || !r.proc.alive() {
			fmt.Fprintf(&b, "%s does not run\n", r.name)
			continue
		}
		hello := r.book.find("paylink starts", r.began)
		if len(hello) == 0 {
			fmt.Fprintf(&b, "%s has not begun\n", r.name)
			continue
		}
		for _, page := range pages {
			fmt.Fprintf(&b, "%s %s: %s\n", r.name, page, get(fmt.Sprint(hello[0].fields["admin"])+page))
		}
	}
	return b.String()
}

// get returns a page, or why there is none.
func get(url string) string {
	c := http.Client{Timeout: 5 * time.Second}
	res, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 20_000))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// dumpNote stands in a log before a list of goroutines.
const dumpNote = "asked for its goroutines"

// dump ends every replica that runs with a list of its goroutines, in its log.
func (f *fleet) dump() {
	for _, r := range f.replicas {
		if r.proc == nil || !r.proc.alive() {
			continue
		}
		r.book.note(dumpNote)
		_ = r.proc.signal(syscall.SIGQUIT) // gone already is gone
		select {
		case <-r.proc.ended:
		case <-time.After(10 * time.Second):
		}
	}
}

// keepLogs writes everything the replicas logged into a file: what a failed test
// prints are the last lines only.
func (f *fleet) keepLogs() {
	file, err := os.CreateTemp(os.Getenv("TORTURE_LOGS"), "paylink-torture-*.log")
	if err != nil {
		f.t.Logf("keep the logs: %v", err)
		return
	}
	defer func() { _ = file.Close() }()
	for _, r := range f.replicas {
		r.book.mu.Lock()
		for _, l := range r.book.lines {
			_, _ = fmt.Fprintf(file, "%s %s\n", r.name, l.raw) // as much as there is room for
		}
		r.book.mu.Unlock()
	}
	f.t.Logf("all logs are in %s (TORTURE_LOGS names another directory)", file.Name())
}
