package config

import (
	"crypto/tls"
	"strings"

	"paylink/internal/payment"
)

// OAuth is where the tokens of the mechanism oauthbearer come from: a file that
// somebody renews, or a token endpoint.
type OAuth struct {
	TokenFile  string         `name:"kafka-oauth-token-file" env:"PAYLINK_KAFKA_OAUTH_TOKEN_FILE" live:"" placeholder:"FILE" help:"File that holds the token for oauthbearer. It is read for each login, so renew it before the token is over."`
	TokenURL   string         `name:"kafka-oauth-token-url" env:"PAYLINK_KAFKA_OAUTH_TOKEN_URL" live:"" placeholder:"URL" help:"Token endpoint that gives tokens for oauthbearer to a client (client credentials, RFC 6749), in place of a file. A token is got anew when a fifth of its life is left."`
	ClientID   string         `name:"kafka-oauth-client-id" env:"PAYLINK_KAFKA_OAUTH_CLIENT_ID" live:"" placeholder:"ID" help:"Client at the token endpoint."`
	Secret     payment.Secret `name:"kafka-oauth-client-secret" env:"PAYLINK_KAFKA_OAUTH_CLIENT_SECRET" live:"" help:"Secret of that client."`
	SecretFile string         `name:"kafka-oauth-client-secret-file" env:"PAYLINK_KAFKA_OAUTH_CLIENT_SECRET_FILE" live:"" placeholder:"FILE" help:"File that holds the client's secret; one newline at its end is dropped."`
	Scopes     []string       `name:"kafka-oauth-scopes" env:"PAYLINK_KAFKA_OAUTH_SCOPES" live:"" placeholder:"SCOPE,…" help:"Scopes that the token endpoint is asked for. Default: none."`
	Audience   string         `name:"kafka-oauth-audience" env:"PAYLINK_KAFKA_OAUTH_AUDIENCE" live:"" placeholder:"NAME" help:"Audience that the token endpoint is asked for. Default: none."`
	CAFile     string         `name:"kafka-oauth-ca-file" env:"PAYLINK_KAFKA_OAUTH_CA_FILE" live:"" placeholder:"FILE" help:"PEM certificates that the token endpoint's is checked against. Default: the system's."`
	Extensions []string       `name:"kafka-oauth-extensions" env:"PAYLINK_KAFKA_OAUTH_EXTENSIONS" live:"" placeholder:"NAME=VALUE,…" help:"What brokers want beside the token, such as logicalCluster=lkc-1. Default: nothing."`
	AWSRegion  string         `name:"kafka-aws-region" env:"PAYLINK_KAFKA_AWS_REGION" live:"" placeholder:"REGION" help:"Region of the brokers for aws-msk-iam, such as eu-central-1. The credentials are those that AWS's standard chain finds."`

	read   string // the file that Secret was read from
	config *tls.Config
}

// TLS returns what the token endpoint's certificate is checked against; nil: the
// system's. It is ready after Prepare.
func (o OAuth) TLS() *tls.Config { return o.config.Clone() }

// any reports whether something of it is set.
func (o OAuth) any() bool {
	return o.TokenFile != "" || o.TokenURL != "" || o.ClientID != "" || o.Secret != "" || o.SecretFile != "" ||
		len(o.Scopes) > 0 || o.Audience != "" || o.CAFile != "" || len(o.Extensions) > 0
}

// prepare is for the mechanism oauthbearer.
func (o *OAuth) prepare() error {
	o.config = nil
	var all []error
	for _, e := range o.Extensions {
		if why := extensionRule(e); why != "" {
			all = append(all, problem("PAYLINK_KAFKA_OAUTH_EXTENSIONS", "%.80q %s; write logicalCluster=lkc-1", e, why))
		}
	}
	switch {
	case o.TokenFile != "" && o.TokenURL != "":
		all = append(all, problem("PAYLINK_KAFKA_OAUTH_TOKEN_FILE", "and PAYLINK_KAFKA_OAUTH_TOKEN_URL are both given; use one of them"))
	case o.TokenFile != "":
		_, err := o.Token()
		all = append(all, err)
	case o.TokenURL != "":
		all = append(all, o.prepareEndpoint())
	default:
		all = append(all, problem("PAYLINK_KAFKA_OAUTH_TOKEN_FILE", "is not set, nor is PAYLINK_KAFKA_OAUTH_TOKEN_URL; oauthbearer needs one of them"))
	}
	return join(all...)
}

// Token reads the token's file.
func (o OAuth) Token() (payment.Secret, error) {
	token, err := readSecret("PAYLINK_KAFKA_OAUTH_TOKEN_FILE", "", o.TokenFile)
	return payment.Secret(strings.TrimSpace(token.Reveal())), err
}

func (o *OAuth) prepareEndpoint() error {
	all := []error{checkURL("PAYLINK_KAFKA_OAUTH_TOKEN_URL", o.TokenURL)}
	if o.ClientID == "" {
		all = append(all, problem("PAYLINK_KAFKA_OAUTH_CLIENT_ID", "is not set; give the client's name at the token endpoint"))
	}
	if o.read != "" && o.read == o.SecretFile {
		o.Secret = "" // it came from there
	}
	var secret, ca error
	o.Secret, secret = readSecret("PAYLINK_KAFKA_OAUTH_CLIENT_SECRET", o.Secret, o.SecretFile)
	o.read = o.SecretFile
	if o.CAFile != "" {
		o.config, ca = clientTLS("PAYLINK_KAFKA_OAUTH_", o.CAFile, "", "")
	}
	return join(append(all, secret, ca)...)
}

// extensionRule says which rule of KIP-342 a text breaks; empty: none.
func extensionRule(text string) string {
	name, value, ok := strings.Cut(text, "=")
	notLetter := func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }
	switch {
	case !ok || name == "" || value == "":
		return "is no NAME=VALUE"
	case strings.ContainsFunc(name, notLetter) || name == "auth":
		return "has a name that is not of letters only, or is auth"
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }):
		return "has a value that is not printable ASCII"
	}
	return ""
}
