package kafkaio

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/xdg-go/scram"

	"paylink/internal/payment"
)

// A scramLogin is SCRAM as Kafka's brokers do it: user and password are hashed
// as they are. RFC 5802 would have them prepared first (SASLprep, which makes
// "a" of "ª"), and kafka-go's own mechanism does; brokers do not, and know
// another password then.
type scramLogin struct {
	name   string
	client *scram.Client
}

// newScram returns the mechanism of one of our names for it.
func newScram(mechanism, user string, password payment.Secret) (sasl.Mechanism, error) {
	name, hash := "SCRAM-SHA-256", scram.HashGeneratorFcn(sha256.New)
	if mechanism == SASLScram512 {
		name, hash = "SCRAM-SHA-512", sha512.New
	}
	client, err := hash.NewClientUnprepped(user, password.Reveal(), "")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mechanism, err)
	}
	return scramLogin{name, client}, nil
}

// Name is what the brokers call it.
func (l scramLogin) Name() string { return l.name }

// Start begins a conversation, and returns its first message.
func (l scramLogin) Start(context.Context) (sasl.StateMachine, []byte, error) {
	c := scramTalk{l.client.NewConversation()}
	_, first, err := c.Next(context.Background(), nil)
	return c, first, err
}

type scramTalk struct{ *scram.ClientConversation }

// Next answers a broker's message. At the end it verifies that the broker, too,
// knows the password.
func (c scramTalk) Next(_ context.Context, challenge []byte) (bool, []byte, error) {
	answer, err := c.Step(string(challenge))
	return c.Done(), []byte(answer), err
}
