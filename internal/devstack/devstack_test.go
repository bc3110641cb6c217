package devstack

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
)

func TestAStackStartsAndLeavesItsPortsFree(t *testing.T) {
	s, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	addrs := append(s.Broker.Addrs(), strings.TrimPrefix(s.Gateway.URL, "http://"), strings.TrimPrefix(s.Registry.URL, "http://"))
	if err := s.Broker.Kafka().Emit(t.Context(), Intents, messages("x")...); err != nil {
		t.Errorf("broker: %v", err)
	}
	resp, err := http.Get(s.Gateway.URL + "/status/healthcheck")
	if err != nil {
		t.Fatalf("gateway: %v", err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("gateway answers %s", resp.Status)
	}
	if err := register(t.Context(), s.Registry.URL); err != nil {
		t.Errorf("registry: %v", err)
	}
	s.Close()
	for _, addr := range addrs {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("after Close: %v", err)
			continue
		}
		ln.Close()
	}
}

func register(ctx context.Context, url string) error {
	client, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		return err
	}
	_, err = client.CreateSchema(ctx, "payment-outcomes-value", sr.Schema{Type: sr.TypeJSON, Schema: `{"type":"object"}`})
	return err
}

func TestATakenPortIsReplacedUnlessItIsExact(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		name  string
		start func(Addr) (string, func(), error)
	}{
		{"broker", func(a Addr) (string, func(), error) {
			b, err := StartBroker(BrokerOptions{Addr: a})
			if err != nil {
				return "", nil, err
			}
			return b.Addrs()[0], b.Close, nil
		}},
		{"server", func(a Addr) (string, func(), error) {
			s, err := Serve(t.Context(), a, http.NotFoundHandler())
			if err != nil {
				return "", nil, err
			}
			return s.URL, s.Close, nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at, stop, err := tt.start(Addr{HostPort: taken.Addr().String()})
			if err != nil {
				t.Fatal(err)
			}
			stop()
			if strings.HasSuffix(at, taken.Addr().String()) {
				t.Errorf("started at %s, which is taken", at)
			}
			if _, _, err := tt.start(Addr{HostPort: taken.Addr().String(), Exact: true}); err == nil {
				t.Error("an exact port that is taken: no error")
			}
		})
	}
}

func TestABrokerTellsTheHostItIsToldToAdvertise(t *testing.T) {
	b, err := StartBroker(BrokerOptions{Addr: Addr{HostPort: "0.0.0.0:0"}, Advertise: "kafka.test", Brokers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if addrs := b.Addrs(); len(addrs) != 2 || !strings.HasPrefix(addrs[0], "kafka.test:") {
		t.Errorf("Addrs() = %v, want two of kafka.test", addrs)
	}
}

func TestABadAddressIsAnError(t *testing.T) {
	for _, addr := range []string{"nonsense", "127.0.0.1:http-alt-alt", "127.0.0.1:99999"} {
		if b, err := StartBroker(BrokerOptions{Addr: Addr{HostPort: addr}}); err == nil {
			b.Close()
			t.Errorf("broker at %s: no error", addr)
		}
	}
}
