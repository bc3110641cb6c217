package lab

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paylink/internal/devstack"
	"paylink/internal/payment"
)

// Who logs in at the brokers.
const (
	operator = "operator"
	member   = "paylink"
)

// secretsFile is what the members read their secrets from, and what gateway and brokers
// know: by merchant, and one of the members. At times they differ.
type secretsFile struct {
	mu    sync.Mutex
	file  map[string]payment.Secret
	truth map[string]payment.Secret
}

func newSecrets(w world) *secretsFile {
	f := &secretsFile{file: map[string]payment.Secret{member: "login"}}
	for i := range w.merchants {
		f.file[merchantID(i)] = payment.Secret(fmt.Sprintf("secret-of-%d", i))
	}
	f.truth = maps.Clone(f.file)
	return f
}

// all are the merchants' secrets at the gateway.
func (f *secretsFile) all() map[string]payment.Secret {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := maps.Clone(f.truth)
	delete(out, member)
	return out
}

func (f *secretsFile) inFile(whose string) payment.Secret {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file[whose]
}

func (f *secretsFile) atGateway(whose string) payment.Secret {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.truth[whose]
}

// set changes one side.
func (f *secretsFile) set(side map[string]payment.Secret, whose string, s payment.Secret) {
	f.mu.Lock()
	defer f.mu.Unlock()
	side[whose] = s
}

// Which side of a rotation changes first.
const (
	theirsFirst = "there"
	fileFirst   = "in the file"
)

// drawRotation has credentials change for good: a merchant's at the gateway, or the
// members' at the brokers. For a while the members know another one.
func (d *drawing) drawRotation() {
	first := one(d, theirsFirst, theirsFirst, fileFirst)
	switch pick := d.IntN(100); {
	case pick < 12:
		for range 1 + d.IntN(2) {
			d.add(fault{at: d.when(), what: rotate, seat: d.IntN(len(d.plan.world.merchants)), lasts: one(d, 0, time.Second, d.between(2*time.Second, 20*time.Second)), arg: first})
		}
	case pick < 24:
		d.plan.world.login = true
		f := fault{at: d.when(), what: relogin, lasts: one(d, 0, 3*time.Second, d.between(2*time.Second, 12*time.Second)), arg: first}
		d.add(f)
		for range 1 + d.IntN(2) { // connections begin anew
			at, seat := f.at+d.between(0, 2*time.Second), d.seat()
			d.add(one(d, fault{at: at, what: cutKafka, seat: seat, lasts: 200 * time.Millisecond},
				fault{at: at, what: kill, seat: seat, lasts: one(d, 0, time.Second)}, fault{at: at, what: join}))
		}
	}
}

// rotate gives a merchant another secret.
func (s *scene) rotate(f fault) {
	id := merchantID(f.seat)
	s.change(f, id, func(next payment.Secret) { s.sim.SetSecret(id, next) })
}

// relogin gives the members another password.
func (s *scene) relogin(f fault) { s.change(f, member, s.setPassword) }

// change changes a credential there and in the file, one after the other.
func (s *scene) change(f fault, whose string, there func(payment.Secret)) {
	next := payment.Secret(fmt.Sprintf("%s-since-%d", whose, f.at))
	steps := []func(){
		func() { s.secrets.set(s.secrets.truth, whose, next); there(next) },
		func() { s.secrets.set(s.secrets.file, whose, next); s.readAnew() },
	}
	if f.arg == fileFirst {
		steps[0], steps[1] = steps[1], steps[0]
	}
	steps[0]()
	time.Sleep(f.lasts)
	steps[1]()
}

// readAnew tells every member that its settings have changed.
func (s *scene) readAnew() {
	for _, x := range s.all() {
		if l := x.now(); l != nil {
			select {
			case l.again <- struct{}{}:
			default:
			}
		}
	}
}

// settleSecrets has everybody know what is true.
func (s *scene) settleSecrets() {
	s.secrets.mu.Lock()
	s.secrets.file = maps.Clone(s.secrets.truth)
	s.secrets.mu.Unlock()
	for id, secret := range s.secrets.all() {
		s.sim.SetSecret(id, secret)
	}
	s.setPassword(s.secrets.atGateway(member))
	s.readAnew()
}

// logins are who may log in at the brokers; nil: nobody has to.
func (s *scene) logins() []devstack.Login {
	if !s.plan.world.login {
		return nil
	}
	return []devstack.Login{{User: operator, Password: operator}, {User: member, Password: s.secrets.atGateway(member).Reveal()}}
}

// setPassword changes the members' password at the brokers.
func (s *scene) setPassword(password payment.Secret) {
	if !s.plan.world.login {
		return
	}
	salt := []byte("salt")
	salted, err := pbkdf2.Key(sha256.New, password.Reveal(), salt, 4096, sha256.Size)
	if err != nil {
		panic(err) // the plan is wrong
	}
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = member, 1, 4096, salt, salted // 1: SCRAM-SHA-256
	req.Upsertions = append(req.Upsertions, u)
	resp, err := req.RequestWith(context.Background(), s.client)
	if err == nil && len(resp.Results) > 0 {
		err = kerr.ErrorForCode(resp.Results[0].ErrorCode)
	}
	if err != nil {
		s.note("no other password: %v", err)
	}
}
