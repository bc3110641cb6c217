package config

import (
	"crypto/tls"
	"math"
	"strconv"
	"time"

	"paylink/internal/payment"
)

// Registry is the schema registry, and who we are there.
type Registry struct {
	RegistryURL  string         `name:"schema-registry-url" env:"PAYLINK_SCHEMA_REGISTRY_URL" placeholder:"URL" help:"Schema registry with Confluent's API. Intents that name a schema are read through it. Default: none."`
	Username     string         `name:"schema-registry-username" env:"PAYLINK_SCHEMA_REGISTRY_USERNAME" live:"" placeholder:"NAME" help:"User for the registry, with a password. Default: no login."`
	Password     payment.Secret `name:"schema-registry-password" env:"PAYLINK_SCHEMA_REGISTRY_PASSWORD" live:"" help:"Password for the registry."`
	PasswordFile string         `name:"schema-registry-password-file" env:"PAYLINK_SCHEMA_REGISTRY_PASSWORD_FILE" live:"" placeholder:"FILE" help:"File that holds the password; one newline at its end is dropped."`
	Token        payment.Secret `name:"schema-registry-token" env:"PAYLINK_SCHEMA_REGISTRY_TOKEN" live:"" help:"Bearer token for the registry, in place of user and password."`
	TokenFile    string         `name:"schema-registry-token-file" env:"PAYLINK_SCHEMA_REGISTRY_TOKEN_FILE" live:"" placeholder:"FILE" help:"File that holds the token; one newline at its end is dropped."`
	CAFile       string         `name:"schema-registry-ca-file" env:"PAYLINK_SCHEMA_REGISTRY_CA_FILE" live:"" placeholder:"FILE" help:"PEM certificates that the registry's is checked against. Default: the system's."`
	CertFile     string         `name:"schema-registry-cert-file" env:"PAYLINK_SCHEMA_REGISTRY_CERT_FILE" live:"" placeholder:"FILE" help:"PEM certificate that we show to the registry; goes with the key file. Default: none."`
	KeyFile      string         `name:"schema-registry-key-file" env:"PAYLINK_SCHEMA_REGISTRY_KEY_FILE" live:"" placeholder:"FILE" help:"PEM private key of that certificate."`
	Naming       string         `name:"subject-naming" env:"PAYLINK_SUBJECT_NAMING" default:"topic" enum:"topic,record,topic-record" help:"Subjects of our schemas: topic (<topic>-value, outcomes as the one type PaymentOutcome), record (paylink.v1.PaymentCreated and paylink.v1.PaymentFailed) or topic-record (both names)."`

	readPassword, readToken string // the files that Password and Token were read from
	config                  *tls.Config
}

func (r *Registry) prepare() error {
	if r.RegistryURL == "" {
		return nil
	}
	return join(checkURL("PAYLINK_SCHEMA_REGISTRY_URL", r.RegistryURL), r.login(), r.prepareTLS())
}

func (r *Registry) login() (err error) {
	hasPassword, hasToken := r.Password != "" || r.PasswordFile != "", r.Token != "" || r.TokenFile != ""
	switch {
	case hasToken && (hasPassword || r.Username != ""):
		return problem("PAYLINK_SCHEMA_REGISTRY_TOKEN", "and a user are both given; use one of them")
	case hasPassword && r.Username == "":
		return problem("PAYLINK_SCHEMA_REGISTRY_USERNAME", "is not set, but a password is; give the user's name")
	case hasPassword:
		if r.readPassword != "" && r.readPassword == r.PasswordFile {
			r.Password = "" // it came from there
		}
		r.Password, err = readSecret("PAYLINK_SCHEMA_REGISTRY_PASSWORD", r.Password, r.PasswordFile)
		r.readPassword = r.PasswordFile
	case hasToken:
		if r.readToken != "" && r.readToken == r.TokenFile {
			r.Token = ""
		}
		r.Token, err = readSecret("PAYLINK_SCHEMA_REGISTRY_TOKEN", r.Token, r.TokenFile)
		r.readToken = r.TokenFile
	}
	return err
}

// TLS returns what the settings describe; nil: the system's certificates. It is
// ready after Prepare.
func (r Registry) TLS() *tls.Config { return r.config.Clone() }

func (r *Registry) prepareTLS() error {
	r.config = nil
	if r.CAFile == "" && r.CertFile == "" && r.KeyFile == "" {
		return nil
	}
	c, err := clientTLS("PAYLINK_SCHEMA_REGISTRY_", r.CAFile, r.CertFile, r.KeyFile)
	r.config = c
	return err
}

// SchemasList is the settings of `paylink schemas list`.
type SchemasList struct {
	Registry `embed:"" group:"Schema registry"`
	Topics   Topics `embed:"" group:"Topics"`
	Format   string `name:"format" default:"all" enum:"all,json-schema,avro,protobuf" help:"Which formats: all, json-schema, avro or protobuf."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

// Prepare is as that of Run.
func (s *SchemasList) Prepare() error {
	return join(s.Registry.prepare(), s.Topics.check())
}

// SchemasRegistry is the settings of the commands that need a registry.
type SchemasRegistry struct {
	Registry `embed:"" group:"Schema registry"`
	Topics   Topics `embed:"" group:"Topics"`
	Format   string `name:"format" env:"PAYLINK_OUTCOME_FORMAT" default:"avro" enum:"json,json-schema,avro,protobuf" help:"Format of the schemas: json-schema, avro or protobuf. One subject holds one format."`
}

// Prepare is as that of Run.
func (s *SchemasRegistry) Prepare() error {
	var missing error
	if s.RegistryURL == "" {
		missing = problem("PAYLINK_SCHEMA_REGISTRY_URL", "is not set; give the registry's URL")
	}
	if s.Format == "json" { // plain JSON needs no schema; what describes it does
		s.Format = "json-schema"
	}
	return join(missing, s.Registry.prepare(), s.Topics.check())
}

// SchemasShow is the settings of `paylink schemas show`.
type SchemasShow struct {
	Name   string `arg:"" enum:"payment-intent,payment-intent-strict,payment-outcome,payment-created,payment-failed,asyncapi" help:"payment-intent, payment-intent-strict (JSON Schema for emitters), payment-outcome, payment-created, payment-failed or asyncapi."`
	Format string `name:"format" default:"json-schema" enum:"json-schema,avro,protobuf" help:"json-schema, avro or protobuf."`
}

// SchemasValidate is the settings of `paylink schemas validate`.
type SchemasValidate struct {
	Input      string `arg:"" optional:"" placeholder:"FILE" help:"File to read, or - for standard input: one JSON record, one on each line, or the lines of \"paylink-dev watch --json\", which tell partition and offset. Or give --topic."`
	Topic      string `name:"topic" placeholder:"NAME" help:"Read this topic, as a consumer of committed records, in place of a file. Nothing is committed."`
	Partition  int    `name:"partition" default:"-1" help:"Its partition; -1 means all of them."`
	From       string `name:"from" placeholder:"OFFSET|TIME" help:"Where to begin in each partition: an offset, or a time by RFC 3339. Default: the oldest record."`
	To         string `name:"to" placeholder:"OFFSET|TIME" help:"Where to end, exclusive. Default: what is there at the start."`
	Kind       string `name:"kind" default:"auto" enum:"auto,intent,outcome" help:"What the records are: intent, outcome, or auto: outcomes in the topic of outcomes and where the header ce_type says so, else intents."`
	MerchantID string `name:"merchant-id" env:"PAYLINK_MERCHANT_ID" placeholder:"DIGITS" help:"Merchant of intents that name none; without it they must name one. Whether a merchant is configured is not looked at."`
	File       File   `name:"config" env:"PAYLINK_CONFIG" placeholder:"FILE" group:"General" help:"YAML file with any of the settings below and of the service."`
	Registry   `embed:"" group:"Schema registry"`
	Kafka      Broker `embed:"" group:"Kafka, for --topic"`
	Topics     Topics `embed:"" group:"Topics"`

	Begin Bound  `kong:"-"` // From; Prepare fills it
	End   *Bound `kong:"-"` // To; nil: it is not given
}

// A Bound is a place in a partition: an offset, or a time if At is set.
type Bound struct {
	Offset int64
	At     time.Time
}

// Prepare is as that of Run.
func (s *SchemasValidate) Prepare() error {
	all := []error{s.Registry.prepare(), s.Topics.check()}
	if s.Topic == "" {
		return join(append(all, s.checkFile())...)
	}
	switch {
	case s.Input != "":
		all = append(all, problem("--topic", "and a file are both given; use one of them"))
	case !topicName.MatchString(s.Topic):
		all = append(all, problem("--topic", "%q is no topic name; write letters, digits, dot, underscore and hyphen, at most 249", s.Topic))
	}
	if s.Partition < -1 || s.Partition > math.MaxInt32 {
		all = append(all, problem("--partition", "%d is no partition; write its number, or -1 for all of them", s.Partition))
	}
	return join(append(all, s.bounds(), s.Kafka.prepare())...)
}

func (s *SchemasValidate) checkFile() error {
	if s.Input == "" {
		return problem("", "nothing to validate: name a file, - for standard input, or --topic")
	}
	if s.From != "" || s.To != "" || s.Partition != -1 {
		return problem("--topic", "is not set, but a range of one is given; name the topic")
	}
	return nil
}

func (s *SchemasValidate) bounds() error {
	var from, to error
	if s.From != "" {
		s.Begin, from = boundOf("--from", s.From)
	}
	if s.To != "" {
		s.End = new(Bound)
		*s.End, to = boundOf("--to", s.To)
	}
	return join(from, to)
}

func boundOf(flag, text string) (Bound, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return Bound{Offset: n}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return Bound{}, problem(flag, "%q is neither an offset nor a time; write 42 or 2026-11-23T12:00:00Z", text)
	}
	return Bound{At: at}, nil
}
