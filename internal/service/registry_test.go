package service_test

import (
	"context"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/avro"
	"google.golang.org/protobuf/proto"

	"paylink/internal/config"
	"paylink/internal/devstack"
	"paylink/internal/event"
	"paylink/internal/event/outcomes"
	schemaregistry "paylink/internal/registry"
	"paylink/internal/service"
	"paylink/schemas"
	"paylink/schemas/contract"
)

// A door stands before the registry and can be shut.
type door struct {
	url  string
	shut atomic.Bool
}

func newDoor(t *testing.T, registry string) *door {
	t.Helper()
	u, err := url.Parse(registry)
	if err != nil {
		t.Fatal(err)
	}
	d, behind := &door{}, httputil.NewSingleHostReverseProxy(u)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.shut.Load() {
			http.Error(w, "shut", http.StatusServiceUnavailable)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	d.url = srv.URL
	return d
}

// register registers the intents' schema of a format and returns its id.
func register(t *testing.T, registry string, f schemas.Format) int {
	t.Helper()
	r, err := schemaregistry.New(schemaregistry.Config{URL: registry})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	id, _, err := r.Put(t.Context(), schemaregistry.Subject{Name: "in-" + f.String(), Format: f, Record: schemas.Intent, Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func framed(id int, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...)
}

// TestEveryFormInEveryFormOut emits intents of all forms, mixed with what names
// an unknown schema, and reads the outcomes in each form that can be set. While
// the registry is away nothing is lost and nothing buried.
func TestEveryFormInEveryFormOut(t *testing.T) {
	for _, format := range []string{"json", "json-schema", "avro", "protobuf"} {
		t.Run(format, func(t *testing.T) { mixedForms(t, format) })
	}
}

func mixedForms(t *testing.T, format string) {
	stack, cfg := world(t)
	d := newDoor(t, stack.Registry.URL)
	cfg.Events.RegistryURL, cfg.Events.Format, cfg.Events.Register = d.url, format, true
	cfg.Events.Naming = string(schemas.ByTopicRecord)
	cfg.Gateway.Rate = config.Rate{Events: 1000, Per: time.Second, Burst: 100}
	if err := cfg.Prepare(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	var out buffer
	log, err := service.Logger(cfg, &out)
	if err != nil {
		t.Fatal(err)
	}
	says := func(what string) {
		t.Helper()
		for !strings.Contains(out.String(), what) {
			select {
			case <-ctx.Done():
				t.Fatalf("the service does not say %q:\n%s", what, out.String())
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	d.shut.Store(format != "json") // outcomes need it
	ended, admin := make(chan error, 1), make(chan net.Addr, 1)
	go func() {
		ended <- service.Run(ctx, cfg, service.Deps{Log: log, OnAdmin: func(a net.Addr) { admin <- a }})
	}()
	if d.shut.Load() {
		says("no partition is taken before it does")
		url := "http://" + (<-admin).String()
		for _, path := range []string{"/readyz", "/api/v1/state", "/"} {
			if page := get(t, url+path); !strings.Contains(page, "The schema registry does not answer, and no partition is taken before it does: ") || !strings.Contains(page, "it answers 503") {
				t.Errorf("%s does not say that the registry is waited for:\n%s", path, page)
			}
		}
		d.shut.Store(false)
	}

	kafka := stack.Broker.Kafka()
	emit(t, ctx, kafka, stack.Registry.URL)
	got, err := kafka.ReadN(ctx, devstack.Outcomes, devstack.ReadUncommitted, 5)
	if err != nil {
		t.Fatalf("read outcomes: %v\n%s", err, out.String())
	}
	readAll(t, d.url, got)

	d.shut.Store(true)
	late := framed(register(t, stack.Registry.URL, schemas.Protobuf), protoIntent(t, "late"))
	binary.BigEndian.PutUint32(late[1:], uint32(registerAnother(t, stack.Registry.URL)))
	if err := kafka.EmitTo(ctx, devstack.Intents, 0, event.Message{Key: []byte("late"), Value: late}); err != nil {
		t.Fatal(err)
	}
	says("cannot read the record yet")
	d.shut.Store(false)
	if _, err = kafka.ReadN(ctx, devstack.Outcomes, devstack.ReadUncommitted, 6); err != nil {
		t.Fatalf("read the late outcome: %v\n%s", err, out.String())
	}
	dead, err := kafka.Read(ctx, devstack.DeadLetters, devstack.ReadUncommitted)
	if err != nil || len(dead) != 1 || string(dead[0].Header(event.HeaderReason)) != "unknown_schema" {
		t.Errorf("dead letters %v, %v; want the one of an unknown schema", dead, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func protoIntent(t *testing.T, id string) []byte {
	t.Helper()
	b, err := proto.Marshal(&contract.PaymentIntent{IntentId: id, Amount: "1500.00", Description: "top-up"})
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{0}, b...) // the index of the first message
}

func avroIntent(t *testing.T, id string) []byte {
	t.Helper()
	b, err := avro.MustParse(schemas.Text(schemas.Avro, schemas.Intent)).Encode(&contract.AvroPaymentIntent{IntentId: id, Amount: "1500.00", Description: "top-up"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// registerAnother registers a writer's schema that the service has not met yet.
func registerAnother(t *testing.T, registry string) int {
	t.Helper()
	r, err := schemaregistry.New(schemaregistry.Config{URL: registry, Register: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	id, err := r.SchemaID(t.Context(), "late", schemas.Protobuf, "syntax = \"proto3\";\nmessage Mine { string intent_id = 1; string amount = 4; string description = 6; }\n")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func emit(t *testing.T, ctx context.Context, kafka devstack.Kafka, registry string) {
	t.Helper()
	intent := func(id string) string {
		return `{"intent_id":"` + id + `","amount":"1500.00","description":"top-up"}`
	}
	for _, value := range [][]byte{
		[]byte(intent("json")),
		[]byte(`{"specversion":"1.0","type":"t","source":"s","id":"1","data":` + intent("cloudevents") + `}`),
		framed(register(t, registry, schemas.JSONSchema), []byte(intent("json-schema"))),
		framed(register(t, registry, schemas.Avro), avroIntent(t, "avro")),
		framed(register(t, registry, schemas.Protobuf), protoIntent(t, "protobuf")),
		framed(1_000_000, []byte(intent("unknown"))),
	} {
		if err := kafka.EmitTo(ctx, devstack.Intents, 0, event.Message{Key: []byte("k"), Value: value}); err != nil {
			t.Fatal(err)
		}
	}
}

func readAll(t *testing.T, registry string, records []devstack.Record) {
	t.Helper()
	r, err := schemaregistry.New(schemaregistry.Config{URL: registry})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dec := outcomes.NewDecoder(r)
	left := map[string]bool{"json": true, "cloudevents": true, "json-schema": true, "avro": true, "protobuf": true}
	for _, rec := range records {
		v, err := dec.Decode(t.Context(), rec.Message)
		if err != nil {
			t.Fatal(err)
		}
		if v.Type() != event.TypeCreated || v.Amount != "1500.00" || !left[string(v.Intent)] {
			t.Errorf("outcome %+v, want a link for one of %v", v, left)
		}
		delete(left, string(v.Intent))
	}
	if len(left) > 0 {
		t.Errorf("no outcomes of %v", left)
	}
}

func TestRunFailsIfTheRegistryLacksTheSchema(t *testing.T) {
	stack, cfg := world(t)
	cfg.Events.RegistryURL, cfg.Events.Format = stack.Registry.URL, "avro"
	if err := cfg.Prepare(); err != nil {
		t.Fatal(err)
	}
	log, err := service.Logger(cfg, &buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Run(t.Context(), cfg, service.Deps{Log: log}); err == nil || !strings.Contains(err.Error(), "paylink schemas register") {
		t.Errorf("Run = %v, want an error that says what to do", err)
	}
}

// TestRegistryLoginIsTakenUpWhileTheServiceRuns: password, authority and certificate
// change one after the other. Each time a record names a schema that is yet to be
// asked for; it waits until the files are right.
func TestRegistryLoginIsTakenUpWhileTheServiceRuns(t *testing.T) {
	stack, cfg := world(t)
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	var knows atomic.Value // the password that the registry accepts
	knows.Store("first-" + canary)
	door := new(porter)
	door.is(first, first)
	u, err := url.Parse(stack.Registry.URL)
	if err != nil {
		t.Fatal(err)
	}
	behind := httputil.NewSingleHostReverseProxy(u)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "shop" || password != knows.Load() {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	srv.TLS, srv.Config.ErrorLog = door.config(), log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)

	files, password := newPEMs(t), filepath.Join(t.TempDir(), "password")
	fileSays := func(text string) {
		t.Helper()
		if err := os.WriteFile(password, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fileSays("first-" + canary)
	files.trusts(first)
	files.shows(first)
	e := &cfg.Events
	e.RegistryURL, e.Username, e.PasswordFile = srv.URL, "shop", password
	e.CAFile, e.CertFile, e.KeyFile = files.ca, files.cert, files.key
	var out buffer
	startReloading(t, cfg, &out)

	kafka, n := stack.Broker.Kafka(), 0
	emits := func(schema int, body []byte) {
		t.Helper()
		n++
		if err := kafka.EmitTo(t.Context(), devstack.Intents, 0, event.Message{Value: framed(schema, body)}); err != nil {
			t.Fatal(err)
		}
	}
	settled := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := kafka.ReadN(ctx, devstack.Outcomes, devstack.ReadUncommitted, n); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
	emits(register(t, stack.Registry.URL, schemas.JSONSchema), []byte(`{"intent_id":"a","amount":"1","description":"d"}`))
	settled()

	knows.Store("second-" + canary)
	emits(register(t, stack.Registry.URL, schemas.Protobuf), protoIntent(t, "b"))
	out.hears(t, "cannot read the record yet", 1)
	fileSays("second-" + canary)
	out.hears(t, `"changed":["password"]`, 1)
	settled()

	door.is(second, first)
	srv.CloseClientConnections()
	emits(registerAnother(t, stack.Registry.URL), protoIntent(t, "c"))
	out.hears(t, "certificate signed by unknown authority", 1)
	files.trusts(second)
	out.hears(t, `"changed":["authorities"]`, 1)
	settled()

	files.shows(second) // before the registry knows of it
	out.hears(t, `"changed":["client certificate"]`, 1)
	emits(register(t, stack.Registry.URL, schemas.Avro), avroIntent(t, "d"))
	settled()
	out.hears(t, "the schema registry refuses the new login and accepts the one before", 1)
	if dead, err := kafka.Read(t.Context(), devstack.DeadLetters, devstack.ReadUncommitted); err != nil || len(dead) != 0 {
		t.Errorf("dead letters %v, %v; want none", dead, err)
	}
	if strings.Contains(out.String(), canary) {
		t.Error("a secret was printed")
	}
}
