package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"paylink/internal/event"
	"paylink/internal/payment"
	"paylink/schemas"
)

var _ interface {
	event.Schemas
	event.SchemaIDs
} = (*Registry)(nil)

// fake returns a Registry that asks an embedded one, and counts requests.
func fake(t *testing.T, cfg Config) (*Registry, *srfake.Registry, *atomic.Int64) {
	t.Helper()
	inner := srfake.NewRegistry()
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		inner.Handler().ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	cfg.URL = srv.URL
	return newRegistry(t, cfg), inner, &asked
}

func newRegistry(t *testing.T, cfg Config) *Registry {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

const one = `{"type":"record","name":"One","fields":[]}`

func TestByIDAsksOnce(t *testing.T) {
	r, inner, asked := fake(t, Config{})
	inner.SeedSchema("one-value", 1, 7, sr.Schema{Schema: one, Type: sr.TypeAvro})
	for range 3 {
		w, err := r.ByID(t.Context(), 7)
		if err != nil || w.Format != schemas.Avro || w.Text != one {
			t.Fatalf("ByID(7) = %+v, %v", w, err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestUnknownIsRememberedForAShortTime(t *testing.T) {
	r, inner, asked := fake(t, Config{})
	for range 3 {
		if _, err := r.ByID(t.Context(), 7); !errors.Is(err, event.ErrUnknownSchema) {
			t.Fatalf("ByID(7) = %v, want unknown", err)
		}
	}
	if _, err := r.ByGUID(t.Context(), "89791762-2336-4186-9674-299b90a802e2"); !errors.Is(err, event.ErrUnknownSchema) {
		t.Errorf("ByGUID = %v, want unknown", err)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	inner.SeedSchema("one-value", 1, 7, sr.Schema{Schema: one, Type: sr.TypeAvro})
	r.memo.denied["id 7"] = denial{event.ErrUnknownSchema, time.Now().Add(-forgetDenied)}
	if _, err := r.ByID(t.Context(), 7); err != nil {
		t.Errorf("ByID(7) = %v after it was registered", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory
	for i := range 3 * maxKnown {
		m.keep(fmt.Sprint(i), event.WriterSchema{}, nil, time.Now())
		m.keep(fmt.Sprint(-i), event.WriterSchema{}, event.ErrUnknownSchema, time.Now())
	}
	if len(m.known) > maxKnown || len(m.denied) > maxKnown {
		t.Errorf("%d known, %d unknown; want at most %d each", len(m.known), len(m.denied), maxKnown)
	}
	large := event.WriterSchema{Text: strings.Repeat("x", event.MaxSchema)}
	for i := range 100 {
		m.keep(fmt.Sprint("large ", i%50), large, nil, time.Now())
		m.keep(fmt.Sprint("large ", i%50), large, nil, time.Now())
	}
	total := 0
	for _, w := range m.known {
		total += w.Size()
	}
	if total > maxText || total != m.size || len(m.known) == 0 {
		t.Errorf("%d bytes of %d schemas, reckoned as %d; want at most %d", total, len(m.known), m.size, maxText)
	}
}

// TestOnlyTheRegistrysWordSaysUnknown holds for answers that must not bury a
// record: they are errors, but not ErrUnknownSchema, and are not remembered.
func TestOnlyTheRegistrysWordSaysUnknown(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"a proxy's 404":          {404, "<html>not found</html>"},
		"a path that is not":     {404, `{"error_code":404,"message":"HTTP 404 Not Found"}`},
		"unavailable":            {503, `{"error_code":50001,"message":"store"}`},
		"wrong login":            {401, `{"error_code":40101,"message":"no"}`},
		"forbidden":              {403, `{"error_code":40301,"message":"no"}`},
		"too many requests":      {429, ``},
		"redirect":               {302, ``},
		"no JSON":                {200, "hello"},
		"a reference that hangs": {200, `{"schema":"x","references":[{"name":"a","subject":"a","version":1}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				asked.Add(1)
				if strings.HasPrefix(req.URL.Path, "/subjects") {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(answer.status)
				_, _ = w.Write([]byte(answer.body))
			}))
			defer srv.Close()
			r := newRegistry(t, Config{URL: srv.URL})
			for range 2 {
				if _, err := r.ByID(t.Context(), 7); err == nil || errors.Is(err, event.ErrUnknownSchema) {
					t.Errorf("ByID = %v, want an error that says nothing about the schema", err)
				}
			}
			if asked.Load() < 2 {
				t.Error("the error was remembered")
			}
		})
	}
}

// TestOneSchemaThatIsWithheld: a registry that refuses one schema, and hands out others, has
// its record buried after a while, lest it hold those behind it. While none is handed out it
// is the registry, or what we may do there, and no record's matter.
func TestOneSchemaThatIsWithheld(t *testing.T) {
	for name, tt := range map[string]struct {
		others, meanwhile int // what the registry answers for others, also once in between
		known, want       bool
	}{
		"others are handed out":                {200, 200, true, true},
		"none was handed out before":           {200, 200, false, false},
		"others are refused, too":              {403, 403, true, false},
		"others were refused a moment ago":     {200, 500, true, false},
		"others are refused since it was seen": {500, 200, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			others := 200
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if !strings.HasSuffix(req.URL.Path, "/ids/7") {
					w.WriteHeader(others)
					_, _ = w.Write([]byte(`{"schema":"\"string\""}`))
					return
				}
				asked.Add(1)
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(`{"error_code":40301,"message":"User:shop is denied"}`))
			}))
			defer srv.Close()
			r := newRegistry(t, Config{URL: srv.URL})
			if tt.known {
				if _, err := r.ByID(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
			}
			d := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001", Schemas: r})
			decode := func() (un *event.Unreadable) {
				_, err := d.Decode(t.Context(), event.Message{Value: []byte("\x00\x00\x00\x00\x07x")})
				if un, _ := errors.AsType[*event.Unreadable](err); un != nil {
					return un
				} else if err == nil {
					t.Fatal("Decode knows a schema that nobody handed out")
				}
				return nil
			}
			if un := decode(); un != nil {
				t.Fatalf("at once it is %v", un)
			}
			for key, w := range r.memo.alone {
				w.since = w.since.Add(-believeWithheld)
				r.memo.alone[key] = w
			}
			if others = tt.meanwhile; tt.meanwhile != tt.others {
				if un := decode(); tt.meanwhile != 200 && un != nil {
					t.Fatalf("in between it is %v", un)
				}
			}
			others = tt.others
			r.memo.denied = map[string]denial{}
			before := asked.Load()
			un := decode()
			if got := un != nil && un.Reason == event.UnknownSchema && strings.Contains(un.Text, "it answers 403 Forbidden: User:shop is denied"); got != tt.want {
				t.Errorf("Decode = %v, want it withheld: %t", un, tt.want)
			}
			if decode(); tt.want && asked.Load() != before+1 {
				t.Errorf("asked %d times of what it has just withheld, want once", asked.Load()-before)
			}
		})
	}
}

// TestAWithheldSchemaIsSoAllTheTime: what lies between two failures is not known where nobody
// asked, and an answer, also that there is no such schema, ends what was before.
func TestAWithheldSchemaIsSoAllTheTime(t *testing.T) {
	for name, tt := range map[string]struct {
		after []time.Duration // the failure before; negative: an answer comes first
		want  bool            // at the last one
	}{
		"one failure":                  {[]time.Duration{0}, false},
		"failures for a while":         {[]time.Duration{0, 10 * time.Second, 10 * time.Second, 9 * time.Second}, false},
		"failures for long enough":     {[]time.Duration{0, 10 * time.Second, 10 * time.Second, 10 * time.Second}, true},
		"two failures, far apart":      {[]time.Duration{0, time.Hour}, false},
		"far apart, and on from there": {[]time.Duration{0, time.Hour, 15 * time.Second, 15 * time.Second}, true},
		"far apart once believed":      {[]time.Duration{0, 15 * time.Second, 15 * time.Second, time.Hour}, true},
		"an answer in between":         {[]time.Duration{0, 15 * time.Second, -15 * time.Second}, false},
	} {
		var m memory
		var now time.Time
		var got bool
		for _, d := range tt.after {
			if d < 0 {
				m.isAnswered("id 7")
			}
			now = now.Add(max(d, -d))
			got = m.isAlone("id 7", now)
		}
		if got != tt.want {
			t.Errorf("%s: isAlone = %t, want %t", name, got, tt.want)
		}
	}
}

// TestSchemasThatCannotBeUsedAreSaidSo: the registry has them, and nothing
// changes by asking again.
func TestSchemasThatCannotBeUsedAreSaidSo(t *testing.T) {
	refs := func(from int) string {
		var all []string
		for i := range maxReferences + 1 {
			all = append(all, fmt.Sprintf(`{"name":"r%d","subject":"s","version":1}`, from+i))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	for name, tt := range map[string]struct{ body, want string }{
		"a type of later":     {`{"schemaType":"THRIFT","schema":"x"}`, "is of a type that this service cannot read"},
		"a large text":        {`{"schema":"` + strings.Repeat("x", event.MaxSchema+1) + `"}`, "is larger than 262144 bytes, with what it refers to"},
		"large references":    {`{"schema":"` + strings.Repeat("x", event.MaxSchema) + `","references":[{"name":"r","subject":"s","version":1}]}`, "is larger than 262144 bytes, with what it refers to"},
		"too many references": {`{"schema":"x","references":` + refs(0) + `}`, "refers to more than 32 other schemas"},
	} {
		var asked atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if strings.HasPrefix(req.URL.Path, "/subjects") {
				_, _ = w.Write([]byte(`{"subject":"s","version":1,"id":1,"schema":"x"}`))
				return
			}
			asked.Add(1)
			_, _ = w.Write([]byte(tt.body))
		}))
		r := newRegistry(t, Config{URL: srv.URL})
		d := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001", Schemas: r})
		for range 2 {
			_, err := d.Decode(t.Context(), event.Message{Value: []byte("\x00\x00\x00\x00\x07x")})
			var un *event.Unreadable
			if !errors.As(err, &un) || un.Reason != event.UnknownSchema || !strings.HasPrefix(un.Text, "schema id 7 "+tt.want) {
				t.Errorf("%s: Decode = %v, want a dead letter that says it %s", name, err, tt.want)
			}
		}
		if srv.Close(); asked.Load() != 1 {
			t.Errorf("%s: asked %d times, want once", name, asked.Load())
		}
	}
}

// TestForeignIntentsThroughTheRegistry reads what others wrote, with references,
// by what a registry gives back.
func TestForeignIntentsThroughTheRegistry(t *testing.T) {
	r, inner, _ := fake(t, Config{})
	const intent = `{"type":"record","name":"Intent","namespace":"shop","fields":[{"name":"intent_id","type":["null","string"]},{"name":"amount","type":"long"},{"name":"description","type":"string"},{"name":"metadata","type":["null",{"type":"map","values":"string"}]}]}`
	inner.SeedSchema("intent", 1, 1, sr.Schema{Schema: intent, Type: sr.TypeAvro})
	inner.SeedSchema("other", 1, 2, sr.Schema{Schema: strings.ReplaceAll(one, "One", "Other"), Type: sr.TypeAvro})
	inner.SeedSchema("several", 1, 3, sr.Schema{Schema: `["Other","shop.Intent"]`, Type: sr.TypeAvro, References: []sr.SchemaReference{
		{Name: "Other", Subject: "other", Version: 1}, {Name: "shop.Intent", Subject: "intent", Version: 1}}})
	inner.SeedSchema("lang", 1, 4, sr.Schema{Schema: `syntax = "proto3"; package shop; enum Lang { NONE = 0; kz = 1; }`, Type: sr.TypeProtobuf})
	inner.SeedSchema("proto", 1, 5, sr.Schema{Type: sr.TypeProtobuf, References: []sr.SchemaReference{{Name: "shop/lang.proto", Subject: "lang", Version: 1}},
		Schema: `syntax = "proto3"; package shop.v1; import "shop/lang.proto"; import "google/type/money.proto";
			message Intent { google.type.Money amount = 1; string intent_id = 2; string description = 3; .shop.Lang language = 4; }`})
	d := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001", Schemas: r})
	for name, value := range map[string]string{
		"Avro, one of several types": "\x00\x00\x00\x00\x03\x02\x02\x02a\xb8\x17\x02d\x00",
		"Avro":                       "\x00\x00\x00\x00\x01\x02\x02a\xb8\x17\x02d\x00",
		"Protobuf":                   "\x00\x00\x00\x00\x05\x00\x0a\x08\x0a\x03KZT\x10\xdc\x0b\x12\x01a\x1a\x01d\x20\x01",
	} {
		out, err := d.Decode(t.Context(), event.Message{Value: []byte(value)})
		if err != nil || len(out.Violations) > 0 || out.Intent.ID != "a" || payment.CompareDecimals(string(out.Intent.Amount), "1500") != 0 {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

func TestRegistryThatIsDown(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	r := newRegistry(t, Config{URL: "http://user:hunter22@" + strings.TrimPrefix(srv.URL, "http://")})
	_, err := r.ByID(t.Context(), 7)
	if err == nil || errors.Is(err, event.ErrUnknownSchema) || strings.Contains(err.Error(), "hunter22") {
		t.Errorf("ByID = %v, want an error without the password", err)
	}
}

// TestARefusalIsOneLineThatNamesItsStatus: whatever the registry, or a proxy before it, says.
func TestARefusalIsOneLineThatNamesItsStatus(t *testing.T) {
	for _, tt := range []struct {
		status     int
		body, want string
	}{
		{401, "", "it answers 401 Unauthorized: no response"},
		{403, `{"error_code":40301,"message":"not \u001b[31myou"}`, "it answers 403 Forbidden: not ·[31myou"},
		{503, "<html>\r\n<h1>Sorry</h1>\n</html>", "it answers 503 Service Unavailable: <html> <h1>Sorry</h1> </html>"},
		{502, strings.Repeat("ж", 5000), "it answers 502 Bad Gateway: " + strings.Repeat("ж", 150) + "…"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.body))
		}))
		r, err := New(Config{URL: srv.URL})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.State(t.Context(), Subject{Name: "in-value"})
		if err == nil || !strings.HasSuffix(err.Error(), ": versions of in-value: "+tt.want) {
			t.Errorf("%d: %v, want %s", tt.status, err, tt.want)
		}
		if IsAway(err) != (tt.status >= 500) {
			t.Errorf("%d: away is %v", tt.status, IsAway(err))
		}
		r.Close()
		srv.Close()
	}
}

func TestAnswersAreBounded(t *testing.T) {
	for status, unusable := range map[int]bool{200: true, 503: false} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"schema":"` + strings.Repeat("x", maxAnswer) + `"}`))
		}))
		w, err := newRegistry(t, Config{URL: srv.URL}).ByID(t.Context(), 7)
		if srv.Close(); (err == nil) != unusable || (w.Unusable != "") != unusable || len(w.Text) > 0 {
			t.Errorf("status %d: ByID = %q, %v; is it unusable? want %t", status, w.Unusable, err, unusable)
		}
	}
}

// TestWhatARegistryCannotLookUpIsUnknown: a registry that is there, but has nothing
// under such a path, will never have. Its record must not hold those behind it.
func TestWhatARegistryCannotLookUpIsUnknown(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/schemas/types" {
			_, _ = w.Write([]byte(`["JSON","PROTOBUF","AVRO"]`))
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error_code":404,"message":"HTTP 404 Not Found"}`))
	}))
	defer srv.Close()
	d := event.NewDecoder(event.DecoderConfig{Schemas: newRegistry(t, Config{URL: srv.URL})})
	for want, m := range map[string]event.Message{
		"does not know schema id 4294967295": {Value: []byte("\x00\xff\xff\xff\xffx")},
		"the registry does not look up GUIDs": {Value: []byte("x"), Headers: []event.Header{
			{Key: "__value_schema_id", Value: []byte("\x010123456789abcdef")}}},
	} {
		_, err := d.Decode(t.Context(), m)
		var un *event.Unreadable
		if !errors.As(err, &un) || un.Reason != event.UnknownSchema || !strings.Contains(un.Text, want) {
			t.Errorf("Decode = %v, want a dead letter that says %q", err, want)
		}
	}
}

// TestJSONNeedsNoReferences: what a JSON Schema refers to is not asked for, and its
// text may have any size.
func TestJSONNeedsNoReferences(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/subjects") {
			t.Error("asked for a reference")
		}
		_, _ = w.Write([]byte(`{"schemaType":"JSON","schema":"` + strings.Repeat("x", 2*event.MaxSchema) + `","references":[{"name":"a","subject":"a","version":1}]}`))
	}))
	defer srv.Close()
	d := event.NewDecoder(event.DecoderConfig{DefaultMerchant: "540001", Schemas: newRegistry(t, Config{URL: srv.URL})})
	out, err := d.Decode(t.Context(), event.Message{Value: []byte("\x00\x00\x00\x00\x07" + `{"intent_id":"a","amount":"1","description":"d"}`)})
	if err != nil || out.Intent.ID != "a" {
		t.Errorf("Decode = %+v, %v", out.Intent, err)
	}
}

func TestLogins(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  Config
		want string
	}{
		"none":   {Config{}, ""},
		"basic":  {Config{Login: Login{Username: "u", Password: "p"}}, "Basic dTpw"},
		"bearer": {Config{Login: Login{Username: "u", Password: "p", Token: "t"}}, "Bearer t"},
	} {
		var got string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { got = req.Header.Get("Authorization") }))
		tt.cfg.URL = srv.URL
		_, _ = newRegistry(t, tt.cfg).ByID(t.Context(), 1)
		if srv.Close(); got != tt.want {
			t.Errorf("%s: Authorization = %q, want %q", name, got, tt.want)
		}
	}
}

func TestWhoAsksAtOnceWaitsForOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked int
		r := &Registry{cfg: Config{Timeout: time.Minute}}
		ask := func(context.Context) (sr.Schema, error) {
			asked++
			time.Sleep(time.Second)
			return sr.Schema{Schema: one}, nil
		}
		first, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := r.remembered(first, "id 7", ask); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the first = %v, want its own deadline", err)
			}
		})
		synctest.Wait()
		for range 3 {
			wg.Go(func() {
				if w, err := r.remembered(t.Context(), "id 7", ask); err != nil || w.Text != one {
					t.Errorf("the others = %+v, %v", w, err)
				}
			})
		}
		wg.Wait()
		if asked != 1 {
			t.Errorf("asked %d times, want once", asked)
		}
	})
}

func TestPutTwiceIsPutOnce(t *testing.T) {
	r, _, _ := fake(t, Config{})
	for _, f := range schemas.Formats() {
		for _, n := range []schemas.Naming{schemas.ByTopic, schemas.ByRecord, schemas.ByTopicRecord} {
			for _, s := range Subjects(f, n, "in-"+f.String(), "out-"+f.String()) {
				if n == schemas.ByRecord {
					s.Name += f.String() // formats do not share subjects
				}
				first, added, err := r.Put(t.Context(), s)
				if err != nil || !added {
					t.Fatalf("Put(%s) = %d, %t, %v", s.Name, first, added, err)
				}
				second, added, err := r.Put(t.Context(), s)
				if err != nil || added || second != first {
					t.Errorf("Put(%s) again = %d, %t, %v; want %d, false", s.Name, second, added, err, first)
				}
				st, err := r.State(t.Context(), s)
				if err != nil || st.ID != first || st.Versions != 1 || st.Level != s.Level.String() {
					t.Errorf("State(%s) = %+v, %v", s.Name, st, err)
				}
				if ok, why, err := r.Compatible(t.Context(), s); err != nil || !ok {
					t.Errorf("Compatible(%s) = %t, %v, %v", s.Name, ok, why, err)
				}
			}
		}
	}
}

func TestSchemaIDRegistersOnlyIfItMay(t *testing.T) {
	r, inner, _ := fake(t, Config{})
	text := schemas.Text(schemas.Avro, schemas.Outcome)
	if _, err := r.SchemaID(t.Context(), "o-value", schemas.Avro, text); err == nil || !strings.Contains(err.Error(), "paylink schemas register") {
		t.Errorf("SchemaID = %v, want an error that says what to do", err)
	}
	r.cfg.Register = true
	id, err := r.SchemaID(t.Context(), "o-value", schemas.Avro, text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.SchemaID(t.Context(), "o-value", schemas.Avro, text)
	if err != nil || id != again || !inner.SubjectExists("o-value") {
		t.Errorf("SchemaID = %d, then %d, %v", id, again, err)
	}
}

func TestReferencesAreFetched(t *testing.T) {
	r, inner, _ := fake(t, Config{})
	inner.SeedSchema("base", 1, 1, sr.Schema{Schema: `"string"`, Type: sr.TypeAvro})
	inner.SeedSchema("who", 1, 2, sr.Schema{Schema: one, Type: sr.TypeAvro, References: []sr.SchemaReference{{Name: "Base", Subject: "base", Version: 1}}})
	inner.SeedSchema("top", 1, 3, sr.Schema{Schema: one, Type: sr.TypeAvro, References: []sr.SchemaReference{{Name: "Who", Subject: "who", Version: 1}, {Name: "Base", Subject: "base", Version: 1}}})
	w, err := r.ByID(t.Context(), 3)
	if err != nil || len(w.References) != 2 || w.References[0].Name != "Base" || w.References[1].Name != "Who" {
		t.Errorf("ByID(3) = %+v, %v; want Base, then Who", w, err)
	}
}

func TestNewRefusesURLs(t *testing.T) {
	for _, u := range []string{"", "registry:8081", "ftp://x", "http://", "://"} {
		if _, err := New(Config{URL: u}); err == nil {
			t.Errorf("New(%q): want an error", u)
		}
	}
}
