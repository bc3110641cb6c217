package reconcile

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// A WorkDir remembers what the gateway has answered, and which range a run is about,
// so that an interrupted run goes on. It holds merchants' ids, order ids, payment
// ids, amounts and states, and nothing else. It may be used concurrently.
type WorkDir struct {
	dir string
	db  *bbolt.DB
	run memo
}

// An Identity is what a run is about. A run of another identity does not go on here.
type Identity struct {
	Cluster     string        `json:"cluster"`
	Topics      [3]string     `json:"topics"`
	Group       string        `json:"group"`
	From        string        `json:"from"` // as they were written; of times that are so long ago the run keeps the moment
	To          string        `json:"to"`
	Filter      Filter        `json:"filter"`
	GiveUpAfter time.Duration `json:"give_up_after"`
}

// A memo is what a work directory says of its run.
type memo struct {
	Identity Identity `json:"identity"`
	Range    Range    `json:"range"`
}

const workFile = "reconcile.db"

var (
	bucketRun     = []byte("run")
	bucketAnswers = []byte("answers")
	keyRun        = []byte("run.v1")
)

// OpenWorkDir opens a work directory, and makes it if it does not exist.
func OpenWorkDir(dir string) (w *WorkDir, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	path := filepath.Join(dir, workFile)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	if _, err := os.Stat(path); err != nil && len(entries) > 0 {
		return nil, fmt.Errorf("work directory %s: it holds files, and no %s: it is none of reconcile; name another one", dir, workFile)
	}
	w = &WorkDir{dir: dir}
	err = w.guard(func() (err error) {
		w.db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
		return err
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("work directory %s: another run is using it; wait for its end, or name another one", dir)
	}
	if err == nil {
		w.db.MaxBatchDelay = 2 * time.Millisecond
		err = w.guard(w.whole)
	}
	if err == nil {
		err = w.guard(func() error {
			return w.db.Update(func(tx *bbolt.Tx) error {
				_, err1 := tx.CreateBucketIfNotExists(bucketRun)
				_, err2 := tx.CreateBucketIfNotExists(bucketAnswers)
				return errors.Join(err1, err2)
			})
		})
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// whole compares the file's size with what the file says of itself: a file that was
// cut off must not be read, not even by its library.
func (w *WorkDir) whole() error {
	info, err := os.Stat(w.db.Path())
	if err != nil {
		return err
	}
	return w.db.View(func(tx *bbolt.Tx) error {
		if info.Size() < tx.Size() {
			return fmt.Errorf("the file has %d bytes of %d", info.Size(), tx.Size())
		}
		return nil
	})
}

// Close closes it.
func (w *WorkDir) Close() error {
	if w.db == nil {
		return nil
	}
	return w.db.Close()
}

// Dir is where it is.
func (w *WorkDir) Dir() string { return w.dir }

// Began returns the range of the run that was begun here, if one was. It is an error
// if that run is about something else.
func (w *WorkDir) Began(id Identity) (r Range, ok bool, err error) {
	err = w.guard(func() error {
		return w.db.View(func(tx *bbolt.Tx) error {
			v := tx.Bucket(bucketRun).Get(keyRun)
			if v == nil {
				if k, _ := tx.Bucket(bucketAnswers).Cursor().First(); k != nil {
					return errors.New("it has answers, and does not say of which run")
				}
				return nil
			}
			ok = true
			return unseal(keyRun, v, &w.run)
		})
	})
	if err != nil || !ok {
		return r, false, err
	}
	if other := w.run.Identity.differs(id); other != "" {
		return r, false, fmt.Errorf("work directory %s: it is of a run with another %s; name another one, or delete it", w.dir, other)
	}
	return w.run.Range, true, nil
}

// Begin notes what the run is about.
func (w *WorkDir) Begin(id Identity, r Range) error {
	w.run = memo{id, r}
	return w.guard(func() error {
		return w.db.Update(func(tx *bbolt.Tx) error {
			v, err := seal(keyRun, w.run)
			if err != nil {
				return err
			}
			return tx.Bucket(bucketRun).Put(keyRun, v)
		})
	})
}

// differs names what two runs differ in, or returns "".
func (id Identity) differs(other Identity) string {
	switch {
	case id.Cluster != other.Cluster:
		return "Kafka cluster"
	case id.Topics != other.Topics:
		return "set of topics"
	case id.Group != other.Group:
		return "group: " + id.Group
	case id.From != other.From || id.To != other.To:
		return fmt.Sprintf("range: --from %q --to %q", id.From, id.To)
	case id.Filter != other.Filter:
		return "--merchant, --intent or --order"
	case id.GiveUpAfter != other.GiveUpAfter:
		return "--give-up-after"
	}
	return ""
}

// An answer is what the gateway said of an order.
type answer struct {
	Found    bool   `json:"found"`
	Payment  int64  `json:"payment,omitempty"`
	State    string `json:"state,omitempty"`
	Amount   string `json:"amount,omitempty"`
	Currency string `json:"currency,omitempty"`
}

// answerKey is the key of a merchant's order at a gateway.
func answerKey(url, merchant, order string) []byte {
	return []byte(url + "\x00" + merchant + "\x00" + order)
}

// answer returns what was answered before, or nil.
func (w *WorkDir) answer(key []byte) (a *answer, err error) {
	err = w.guard(func() error {
		return w.db.View(func(tx *bbolt.Tx) error {
			v := tx.Bucket(bucketAnswers).Get(key)
			if v == nil {
				return nil
			}
			a = &answer{}
			return unseal(key, v, a)
		})
	})
	return a, err
}

// remember keeps an answer. It returns when that is on the disk.
func (w *WorkDir) remember(key []byte, a answer) error {
	v, err := seal(key, a)
	if err != nil {
		return err
	}
	return w.guard(func() error {
		return w.db.Batch(func(tx *bbolt.Tx) error { return tx.Bucket(bucketAnswers).Put(key, v) })
	})
}

// seal writes a value under a checksum of it and its key.
func seal(key []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(nil, checksum(key, b)), b...), nil
}

func unseal(key, b []byte, v any) error {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != checksum(key, b[4:]) {
		return errors.New("a value does not fit its checksum")
	}
	return json.Unmarshal(b[4:], v)
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(key), crc32.IEEETable, value)
}

// guard makes errors of what a damaged file may do to its library, which maps the
// file into memory.
func (w *WorkDir) guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
		if err != nil {
			err = fmt.Errorf("work directory %s cannot be used, and nothing in it is believed: %w; name another one, or delete it", w.dir, err)
		}
	}()
	return do()
}
