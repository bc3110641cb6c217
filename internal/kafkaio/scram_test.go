package kafkaio_test

import (
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"paylink/internal/kafkaio"
	"paylink/internal/payment"
)

// TestScramHashesPasswordsAsBrokersDo: SASLprep would change these, and brokers
// hash them as they are.
func TestScramHashesPasswordsAsBrokersDo(t *testing.T) {
	for mechanism, brokers := range map[string]string{kafkaio.SASLScram256: "SCRAM-SHA-256", kafkaio.SASLScram512: "SCRAM-SHA-512"} {
		for _, password := range []string{"plain", "xª1", "Ⅸ", "a\u00adb", "a\u00a0b", "ﬁ", "e\u0301", "\u0007", "пароль"} {
			c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(brokers, "pay", password))
			if err != nil {
				t.Fatal(err)
			}
			login := func(password string) error {
				conn := kafkaio.Connection{Brokers: c.ListenAddrs(), SASL: &kafkaio.SASL{Mechanism: mechanism, Username: "pay", Password: payment.Secret(password)}}
				tr, err := conn.Transport()
				if err != nil {
					return err
				}
				defer tr.CloseIdleConnections()
				_, err = conn.Client(tr).Metadata(t.Context(), &kafka.MetadataRequest{})
				return err
			}
			if err := login(password); err != nil {
				t.Errorf("%s, password %q: %v", mechanism, password, err)
			}
			if password == "plain" && login("other") == nil {
				t.Errorf("%s: a wrong password logs in", mechanism)
			}
			c.Close()
		}
	}
}
