// Package config is the manual of the settings: one documented struct per
// command, whose tags give each setting its flag, its variable, its default and
// its help. What a field's help says is what -h prints and what the README lists.
//
// What is tagged live is taken up by a running service; all else needs a restart.
//
// A setting is looked for as a flag, then as an environment variable, then as a
// key of the YAML file; the key is the variable's name in lower case without
// PAYLINK_. An empty value means the default. Everything is checked before the
// service opens a connection, and everything that is wrong is told at once, each
// in one line, in the order of this manual.
// Secrets come from the environment or from a file, never from a flag, and are
// never part of an error.
//
// The package reads the files it is pointed to, but no environment of its own:
// Parse is given one.
package config

import (
	"crypto/tls"
	"strings"
	"time"

	"paylink/internal/payment"
)

// Run is the settings of `paylink run`. Parse fills and checks it; a program that
// builds one by hand starts from Default and calls Prepare.
type Run struct {
	File    File    `name:"config" env:"PAYLINK_CONFIG" placeholder:"FILE" group:"General" help:"YAML file with any of the settings below; a key is the variable's name in lower case without PAYLINK_, such as kafka_brokers. Unknown keys stop the start."`
	Kafka   Kafka   `embed:"" group:"Kafka"`
	Topics  Topics  `embed:"" group:"Topics"`
	Turns   Turns   `embed:"" group:"Topics"`
	Gateway Gateway `embed:"" group:"Gateway and merchants"`
	Flow    Flow    `embed:"" group:"Flow"`
	Events  Events  `embed:"" group:"Events"`
	Admin   Admin   `embed:"" group:"Observation"`
	Log     Log     `embed:"" group:"Observation"`

	// Merchants are who the service calls the gateway for; Prepare fills it.
	Merchants []Merchant `kong:"-"`
}

// Check is the settings of `paylink check`: those of the service.
type Check struct {
	Run  `embed:""`
	JSON bool `name:"json" group:"General" help:"Print the findings as JSON."`
}

// TopicsCreate is the settings of `paylink topics create`.
type TopicsCreate struct {
	TopicsDescribe `embed:""`
	Partitions     int           `name:"partitions" env:"PAYLINK_TOPIC_PARTITIONS" default:"12" group:"Topics" help:"Partitions of each topic, but for that of turns, which has one. Intents and outcomes must have equally many, and more than the replicas you will ever run. They cannot be changed later without stopping every replica."`
	Replication    int           `name:"replication" env:"PAYLINK_TOPIC_REPLICATION" default:"0" group:"Topics" help:"Copies of each partition; 0 means three, or as many as there are brokers."`
	LedgerWindow   time.Duration `name:"ledger-window" env:"PAYLINK_LEDGER_WINDOW" default:"168h" group:"Topics" help:"How far back the service looks for answered intents; outcomes are kept at least a day longer."`
}

// TopicsDescribe is the settings of `paylink topics describe`.
type TopicsDescribe struct {
	File   File   `name:"config" env:"PAYLINK_CONFIG" placeholder:"FILE" group:"General" help:"YAML file with any of the settings below and of the service."`
	JSON   bool   `name:"json" group:"General" help:"Print JSON."`
	Kafka  Broker `embed:"" group:"Kafka"`
	Topics Topics `embed:"" group:"Topics"`
	Turns  Turns  `embed:"" group:"Topics"`
}

// Broker says how to reach Kafka.
type Broker struct {
	Brokers []string `name:"kafka-brokers" env:"PAYLINK_KAFKA_BROKERS" must:"" placeholder:"HOST:PORT,…" help:"Some of the brokers, separated by commas; the others are found through them."`
	TLS     TLS      `embed:"" group:"Kafka security"`
	SASL    SASL     `embed:"" group:"Kafka security"`
}

// Kafka is Broker, and how to be a member of the consumer group.
type Kafka struct {
	Broker           `embed:""`
	Group            string        `name:"kafka-group" env:"PAYLINK_KAFKA_GROUP" default:"paylink" help:"Consumer group. Replicas of one service share it; it also names the fence, so two services on the same topics need two groups and two outcome topics."`
	InstanceID       string        `name:"kafka-group-instance-id" env:"PAYLINK_KAFKA_GROUP_INSTANCE_ID" placeholder:"NAME" help:"Static membership: a name of this replica that survives its restart, such as the pod's name in a StatefulSet. A restart within the session timeout then moves no partition. Each replica needs its own. Default: none."`
	SessionTimeout   time.Duration `name:"kafka-session-timeout" env:"PAYLINK_KAFKA_SESSION_TIMEOUT" default:"15s" help:"After this long without a heartbeat a replica counts as dead and others take its partitions. Heartbeats go every fifth of it, at most every 3 s. Brokers allow 6 s to 30 min unless configured otherwise."`
	RebalanceTimeout time.Duration `name:"kafka-rebalance-timeout" env:"PAYLINK_KAFKA_REBALANCE_TIMEOUT" default:"60s" help:"How long the group waits for a replica to hand over its partitions. At least 10 s more than the drain timeout, or a slow hand-over loses the membership."`
	Start            string        `name:"kafka-start" env:"PAYLINK_KAFKA_START" default:"earliest" enum:"earliest,latest" help:"Where a group without committed offsets begins: earliest or latest. With latest, intents published before the first start are never read."`
}

// TLS is the encryption of the connections to the brokers.
type TLS struct {
	Enabled    bool   `name:"kafka-tls" env:"PAYLINK_KAFKA_TLS_ENABLED" help:"Encrypt the connections to the brokers."`
	CAFile     string `name:"kafka-tls-ca-file" env:"PAYLINK_KAFKA_TLS_CA_FILE" live:"" placeholder:"FILE" help:"PEM certificates that the brokers' are checked against. Default: the system's."`
	CertFile   string `name:"kafka-tls-cert-file" env:"PAYLINK_KAFKA_TLS_CERT_FILE" live:"" placeholder:"FILE" help:"PEM certificate that we show to the brokers; goes with the key file. Default: none."`
	KeyFile    string `name:"kafka-tls-key-file" env:"PAYLINK_KAFKA_TLS_KEY_FILE" live:"" placeholder:"FILE" help:"PEM private key of that certificate."`
	ServerName string `name:"kafka-tls-server-name" env:"PAYLINK_KAFKA_TLS_SERVER_NAME" live:"" placeholder:"NAME" help:"Name that must be in the brokers' certificates. Default: the host we connect to."`

	config *tls.Config
}

// Config returns what the settings describe; nil: no TLS. It is ready after Prepare.
func (t TLS) Config() *tls.Config { return t.config.Clone() }

// SASL is the login at the brokers.
type SASL struct {
	Mechanism    string         `name:"kafka-sasl-mechanism" env:"PAYLINK_KAFKA_SASL_MECHANISM" live:"" placeholder:"NAME" default:"" enum:",plain,scram-sha-256,scram-sha-512,oauthbearer,aws-msk-iam" help:"Log in to the brokers with plain, scram-sha-256 or scram-sha-512, which take user and password; with oauthbearer, which takes a token; or with aws-msk-iam, for Amazon MSK. Default: no login."`
	Username     string         `name:"kafka-sasl-username" env:"PAYLINK_KAFKA_SASL_USERNAME" live:"" placeholder:"NAME" help:"User for the login."`
	Password     payment.Secret `name:"kafka-sasl-password" env:"PAYLINK_KAFKA_SASL_PASSWORD" live:"" help:"Password for the login."`
	PasswordFile string         `name:"kafka-sasl-password-file" env:"PAYLINK_KAFKA_SASL_PASSWORD_FILE" live:"" placeholder:"FILE" help:"File that holds the password; one newline at its end is dropped."`

	OAuth OAuth `embed:""`

	read string // the file that Password was read from
}

// Topics are the three topics of the service.
type Topics struct {
	Intents     string `name:"topic-intents" env:"PAYLINK_TOPIC_INTENTS" default:"payment-intents" help:"Topic that payment intents are read from."`
	Outcomes    string `name:"topic-outcomes" env:"PAYLINK_TOPIC_OUTCOMES" default:"payment-outcomes" help:"Topic that payment-created and payment-failed are written to. It is the service's memory too: keep what it holds for longer than the ledger window."`
	DeadLetters string `name:"topic-dead-letters" env:"PAYLINK_TOPIC_DEAD_LETTERS" default:"payment-intents.dead-letters" help:"Topic for records that cannot get an outcome."`
}

// Turns is the topic by which replicas lend each other turns.
type Turns struct {
	Topic string `name:"topic-turns" env:"PAYLINK_TOPIC_TURNS" default:"payment-intents.turns" help:"Topic by which replicas lend each other turns of a merchant's rate, so that nobody waits while another one's slots are idle; services may share it. Nothing depends on it: where it is missing or may not be read and written, replicas wait for their own slots. off: no turns are lent, nor are they with rate-scope partition."`
}

// Name is the topic's; empty: no turns are lent.
func (t Turns) Name() string {
	if strings.EqualFold(t.Topic, "off") {
		return ""
	}
	return t.Topic
}

// Gateway is the payment gateway, and in whose name it is called.
type Gateway struct {
	URL           string         `name:"gateway-url" env:"PAYLINK_GATEWAY_URL" live:"" default:"https://api.freedompay.kz" help:"Scheme and host of the gateway, perhaps with a path prefix; no script name such as init_payment.php, which is added for each call. With http, which is for laptops and tests, links may be http too; with https they must be https."`
	LinkHosts     []string       `name:"gateway-link-hosts" env:"PAYLINK_GATEWAY_LINK_HOSTS" live:"" placeholder:"HOST,…" help:"Hosts that payment pages may have, each a name, or *. and a name for all below it. A link elsewhere is never published, although the gateway signed it: its intent waits, and the log says so. Ask the gateway for its pages' hosts, those of payment systems too. Default: any host."`
	TLS           GatewayTLS     `embed:""`
	Timeout       time.Duration  `name:"gateway-timeout" env:"PAYLINK_GATEWAY_TIMEOUT" default:"30s" help:"Limit for one call of the gateway, connecting included. A call that is cut off is repeated with the same idempotency key."`
	MerchantID    string         `name:"merchant-id" env:"PAYLINK_MERCHANT_ID" must:"" placeholder:"DIGITS" help:"The gateway's number of the merchant; of the default merchant if a merchants file is given, where it is optional."`
	Secret        payment.Secret `name:"merchant-secret" env:"PAYLINK_MERCHANT_SECRET" live:"" help:"The merchant's secret key for payments. Required, here or in its file, unless a merchants file is given."`
	SecretFile    string         `name:"merchant-secret-file" env:"PAYLINK_MERCHANT_SECRET_FILE" live:"" placeholder:"FILE" help:"File that holds the merchant's secret key; one newline at its end is dropped."`
	MerchantsFile string         `name:"merchants-file" env:"PAYLINK_MERCHANTS_FILE" live:"" placeholder:"FILE" help:"YAML list of several merchants: id, secret or secret_file, and perhaps rate, gateway_url, link_hosts, lock, allow_hosts, and defaults of Init fields such as result_url, language or testing_mode. Replaces the merchant's secret above; what an entry leaves out it has from the settings here."`
	LockFields    []string       `name:"lock-fields" env:"PAYLINK_LOCK_FIELDS" live:"" placeholder:"FIELD,…" help:"Fields that an intent may not give, such as result_url, check_url or testing_mode: the merchant's default is in force, or the gateway's. An intent that gives one, other than with the merchant's default, fails with invalid_intent. All optional fields of Init but merchant_id can be locked. Default: none, so whoever may write intents decides where results go."`
	AllowHosts    []string       `name:"allow-hosts" env:"PAYLINK_ALLOW_HOSTS" live:"" placeholder:"HOST,…" help:"Hosts that check_url, result_url, success_url, failure_url and site_url of an intent may have, each a name, or *. and a name for all below it; the merchant's own defaults may have any. An intent with another host fails with invalid_intent. Default: any host."`
	Rate          Rate           `name:"rate" env:"PAYLINK_RATE" live:"" default:"1/1500ms" help:"Calls that a merchant may make, all replicas together: 40/s, 100/m, 1/1500ms; 40/s+10 allows bursts of 10. The gateway asks for 1.5 to 2 s between calls unless your contract says more."`
	RateScope     string         `name:"rate-scope" env:"PAYLINK_RATE_SCOPE" default:"group" enum:"group,partition" help:"group: replicas share a merchant's rate by the partitions they own. partition: all intents of a merchant are in one partition, whose owner may use the whole rate."`
}

// GatewayTLS is the encryption of the connections to the gateways.
type GatewayTLS struct {
	CAFile   string `name:"gateway-tls-ca-file" env:"PAYLINK_GATEWAY_TLS_CA_FILE" live:"" placeholder:"FILE" help:"PEM certificates that the gateways' are checked against, those of all merchants. Default: the system's."`
	CertFile string `name:"gateway-tls-cert-file" env:"PAYLINK_GATEWAY_TLS_CERT_FILE" live:"" placeholder:"FILE" help:"PEM certificate that we show to a gateway, or a proxy before it, that asks for one; goes with the key file. Default: none."`
	KeyFile  string `name:"gateway-tls-key-file" env:"PAYLINK_GATEWAY_TLS_KEY_FILE" live:"" placeholder:"FILE" help:"PEM private key of that certificate."`

	config *tls.Config
}

// Config returns what the settings describe; nil: the system's certificates, and
// none of ours. It is ready after Prepare.
func (t GatewayTLS) Config() *tls.Config { return t.config.Clone() }

// Flow says how much is done at once, and for how long.
type Flow struct {
	Concurrency  int           `name:"concurrency" env:"PAYLINK_CONCURRENCY" live:"" default:"256" help:"Calls in flight in this process, at most."`
	GiveUpAfter  time.Duration `name:"give-up-after" env:"PAYLINK_GIVE_UP_AFTER" default:"1h" help:"An intent that is this old, counted from its record's timestamp, and still not settled fails with gave_up."`
	DrainTimeout time.Duration `name:"drain-timeout" env:"PAYLINK_DRAIN_TIMEOUT" default:"35s" help:"How long a replica that stops or hands a partition over finishes the calls in flight. Not less than the gateway timeout, or a call may be cut off and repeated. Give the container 15 s more to stop."`
	LedgerWindow time.Duration `name:"ledger-window" env:"PAYLINK_LEDGER_WINDOW" default:"168h" help:"How far back answered intents are remembered. Older intents go to the dead letters, and the outcome topic must keep its records at least this long."`

	LedgerDir string `name:"ledger-dir" env:"PAYLINK_LEDGER_DIR" placeholder:"DIR" help:"Folder that answered intents are kept in over restarts, 32 bytes each, so that a start reads from Kafka what came since only. It is of this replica alone, and only the service should be able to write there. It is never needed: what is damaged, of another topic or in use is not believed, and one line says so. Default: none."`

	LedgerIntents int64 `name:"ledger-intents" env:"PAYLINK_LEDGER_INTENTS" default:"100000000" help:"How many answered intents this process remembers, at 36 bytes each, before it takes over no further partition: such a partition waits. None is forgotten, since it could get a second link. It is said from four fifths on."`
}

// Events is the form of what is read and written.
type Events struct {
	Registry `embed:""`
	Format   string `name:"outcome-format" env:"PAYLINK_OUTCOME_FORMAT" default:"json" enum:"json,json-schema,avro,protobuf" help:"Form of the outcomes: json, json-schema, avro or protobuf; all but json need the registry. Intents are recognised record by record, whatever is set here."`
	Register bool   `name:"schema-auto-register" env:"PAYLINK_SCHEMA_AUTO_REGISTER" help:"Register the outcomes' schemas where the registry lacks them. Without it the service does not start then; \"paylink schemas register\" is the considered way."`
}

// Admin is where the service can be looked at.
type Admin struct {
	Addr      string         `name:"admin-addr" env:"PAYLINK_ADMIN_ADDR" default:"127.0.0.1:8080" help:"Address for /metrics, /startupz, /livez, /readyz and the console at /. Without a token or client certificates anybody who reaches it can look: keep it away from strangers. In a container: 0.0.0.0:8080."`
	Token     payment.Secret `name:"admin-token" env:"PAYLINK_ADMIN_TOKEN" help:"Bearer token that all but the probes must show (Authorization: Bearer …). Default: none."`
	TokenFile string         `name:"admin-token-file" env:"PAYLINK_ADMIN_TOKEN_FILE" placeholder:"FILE" help:"File that holds the token; one newline at its end is dropped."`
	CertFile  string         `name:"admin-tls-cert-file" env:"PAYLINK_ADMIN_TLS_CERT_FILE" placeholder:"FILE" help:"PEM certificate of the admin address, which then speaks https; goes with the key file. Both are read anew when they change. Default: http."`
	KeyFile   string         `name:"admin-tls-key-file" env:"PAYLINK_ADMIN_TLS_KEY_FILE" placeholder:"FILE" help:"PEM private key of that certificate."`
	ClientCA  string         `name:"admin-tls-client-ca-file" env:"PAYLINK_ADMIN_TLS_CLIENT_CA_FILE" placeholder:"FILE" help:"PEM certificates that sign those of clients: all but the probes then need a certificate, beside the token if there is one. Default: no certificate is asked for."`
	Hosts     []string       `name:"admin-hosts" env:"PAYLINK_ADMIN_HOSTS" placeholder:"HOST,…" help:"Names that a request's Host may be, beside addresses, localhost and names without a dot; others are refused, so that no web page can read the console through its reader's browser."`
	Profiles  bool           `name:"admin-pprof" env:"PAYLINK_ADMIN_PPROF" help:"Serve Go's profiles at /debug/pprof/. They show how the program runs, and none of its data."`
}

// Log is how the service speaks.
type Log struct {
	Format string `name:"log-format" env:"PAYLINK_LOG_FORMAT" placeholder:"FORMAT" default:"" enum:",json,text" help:"json or text. Default: text on a terminal, else json."`
	Level  string `name:"log-level" env:"PAYLINK_LOG_LEVEL" live:"" default:"info" enum:"debug,info,warn,error" help:"debug, info, warn or error."`
}

// Sign is the settings of `paylink sign`.
type Sign struct {
	Script     string         `name:"script" placeholder:"NAME" default:"init_payment.php" help:"Last part of the called URL's path."`
	Secret     payment.Secret `name:"secret" env:"PAYLINK_MERCHANT_SECRET" help:"The merchant's secret key, unless --secret-file names its file."`
	SecretFile string         `name:"secret-file" env:"PAYLINK_MERCHANT_SECRET_FILE" placeholder:"FILE" help:"File that holds the merchant's secret key; one newline at its end is dropped."`
	Verify     bool           `name:"verify" help:"Check the object's pg_sig instead; exit 1 if it is wrong."`
	Explain    bool           `name:"explain" help:"Also show the string that is hashed, with *** for the secret. It holds all other values as they are."`
}

// Ready is the settings of `paylink ready`.
type Ready struct {
	Addr     string `name:"admin-addr" env:"PAYLINK_ADMIN_ADDR" default:"127.0.0.1:8080" help:"Admin address of the service."`
	CertFile string `name:"admin-tls-cert-file" env:"PAYLINK_ADMIN_TLS_CERT_FILE" placeholder:"FILE" help:"If it is set, the admin address speaks https. As every probe, this one does not check whose certificate it is."`
}

// A File is the path of the YAML file with settings.
type File string

// A Merchant is a merchant with its own pace.
type Merchant struct {
	payment.Merchant
	SecretFile string // that the secret was read from; empty: none
	Rate       Rate
	Defaults   []payment.Param // of Init fields that an intent does not give
	Permit     payment.Permit  // what an intent may say
}

// HeartbeatInterval is a fifth of the session timeout, at most three seconds.
func (k Kafka) HeartbeatInterval() time.Duration {
	return min(k.SessionTimeout/5, 3*time.Second)
}
