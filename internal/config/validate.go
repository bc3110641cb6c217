package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"paylink/internal/payment"
)

// maxConcurrency bounds the memory and the sockets of one process.
const maxConcurrency = 65536

// handOver is the time that a drained replica needs to publish, commit and join again.
const handOver = 10 * time.Second

// Prepare checks the settings against each other, reads the files that they
// name, and fills what is made of them. Its error tells everything that is wrong:
// an *Error, or Errors.
func (r *Run) Prepare() error {
	var err error
	r.Merchants, err = r.Gateway.LoadMerchants()
	return join(r.Kafka.prepare(), r.Topics.check(), r.Turns.check(r.Topics), r.Gateway.prepare(), err, r.checkFlow(), r.checkEvents(), r.Admin.prepare())
}

// Prepare is as that of Run.
func (t *TopicsDescribe) Prepare() error {
	return join(t.Kafka.prepare(), t.Topics.check(), t.Turns.check(t.Topics))
}

// Prepare is as that of Run.
func (t *TopicsCreate) Prepare() error {
	all := []error{t.TopicsDescribe.Prepare()}
	if t.Partitions < 1 || t.Partitions > 10000 {
		all = append(all, problem("PAYLINK_TOPIC_PARTITIONS", "%d is out of range; write 1 to 10000", t.Partitions))
	}
	if t.Replication < 0 || t.Replication > 32767 {
		all = append(all, problem("PAYLINK_TOPIC_REPLICATION", "%d is out of range; write 0 for the best number, or 1 and more", t.Replication))
	}
	return join(all...)
}

// Prepare reads the secret.
func (s *Sign) Prepare() error {
	if s.SecretFile != "" {
		s.Secret = "" // a file named on the command line wins over the variable
	}
	var err error
	s.Secret, err = readSecret("PAYLINK_MERCHANT_SECRET", s.Secret, s.SecretFile)
	return err
}

// Warnings are sentences about settings that are allowed but doubtful.
func (r *Run) Warnings() []string {
	var w []string
	if r.Kafka.SASL.Mechanism == "plain" && !r.Kafka.TLS.Enabled {
		w = append(w, "PAYLINK_KAFKA_SASL_MECHANISM=plain without TLS sends the password in clear; set PAYLINK_KAFKA_TLS_ENABLED=true")
	}
	if m := r.Kafka.SASL.Mechanism; (m == "oauthbearer" || m == "aws-msk-iam") && !r.Kafka.TLS.Enabled {
		w = append(w, "PAYLINK_KAFKA_SASL_MECHANISM="+m+" without TLS sends the token in clear; set PAYLINK_KAFKA_TLS_ENABLED=true")
	}
	if u, err := url.Parse(r.Kafka.SASL.OAuth.TokenURL); err == nil && u.Scheme == "http" && !private(u.Hostname()) {
		w = append(w, "PAYLINK_KAFKA_OAUTH_TOKEN_URL: the client's secret travels to "+u.Host+" unencrypted; use https")
	}
	if r.Kafka.SessionTimeout < 6*time.Second {
		w = append(w, fmt.Sprintf("PAYLINK_KAFKA_SESSION_TIMEOUT: brokers refuse less than 6s unless group.min.session.timeout.ms says otherwise; it is %s", r.Kafka.SessionTimeout))
	}
	if blankEnd(r.Kafka.SASL.Password) {
		w = append(w, "PAYLINK_KAFKA_SASL_PASSWORD: the password begins or ends with a blank, which is taken as part of it")
	}
	if i := slices.IndexFunc(r.Merchants, func(m Merchant) bool { return blankEnd(m.Secret) }); i >= 0 {
		w = append(w, "merchant "+string(r.Merchants[i].ID)+": the secret begins or ends with a blank, which is taken as part of it")
	}
	for _, m := range r.Merchants {
		if u, err := url.Parse(m.GatewayURL); err == nil && u.Scheme == "http" && !private(u.Hostname()) {
			w = append(w, "PAYLINK_GATEWAY_URL: payments to "+u.Host+" travel unencrypted; use https")
			break
		}
	}
	return w
}

// blankEnd reports whether a secret has blanks around it, which nobody sees in a file.
func blankEnd(s payment.Secret) bool { return strings.TrimSpace(s.Reveal()) != s.Reveal() }

// private reports whether a host is this machine or a bare name inside a cluster.
func private(host string) bool {
	ip := net.ParseIP(host)
	return !strings.Contains(host, ".") && ip == nil || ip != nil && (ip.IsLoopback() || ip.IsPrivate())
}

func (b *Broker) prepare() error {
	var all []error
	if len(b.Brokers) == 0 {
		all = append(all, problem("PAYLINK_KAFKA_BROKERS", "is not set; give host:port of some brokers, separated by commas"))
	}
	for _, addr := range b.Brokers {
		all = append(all, checkAddr("PAYLINK_KAFKA_BROKERS", addr, false))
	}
	return join(append(all, b.TLS.prepare(), b.SASL.prepare())...)
}

func (k *Kafka) prepare() error {
	all := []error{k.Broker.prepare()}
	if k.Group == "" || len(k.Group) > 200 || strings.ContainsAny(k.Group, "\n\r\t ") {
		all = append(all, problem("PAYLINK_KAFKA_GROUP", "%q is no group name; write up to 200 characters without spaces", k.Group))
	}
	if k.InstanceID != "" && !topicName.MatchString(k.InstanceID) {
		all = append(all, problem("PAYLINK_KAFKA_GROUP_INSTANCE_ID", "%q is no instance name; write letters, digits, dot, underscore and hyphen, at most 249", k.InstanceID))
	}
	return join(append(all, k.checkSession())...)
}

func (k *Kafka) checkSession() error {
	switch {
	case k.SessionTimeout < 100*time.Millisecond || k.SessionTimeout > 30*time.Minute:
		return problem("PAYLINK_KAFKA_SESSION_TIMEOUT", "%s is out of range; brokers allow 6s to 30m", k.SessionTimeout)
	case k.SessionTimeout < 3*k.HeartbeatInterval():
		return problem("PAYLINK_KAFKA_SESSION_TIMEOUT", "%s leaves no room for three heartbeats; write a longer one", k.SessionTimeout)
	case k.SessionTimeout > k.RebalanceTimeout:
		return problem("PAYLINK_KAFKA_SESSION_TIMEOUT", "%s is more than PAYLINK_KAFKA_REBALANCE_TIMEOUT (%s); the group would give up on replicas that are alive", k.SessionTimeout, k.RebalanceTimeout).against("PAYLINK_KAFKA_REBALANCE_TIMEOUT")
	}
	return nil
}

func (r *Run) checkFlow() error {
	f, k := r.Flow, r.Kafka
	var all []error
	if f.Concurrency < 1 || f.Concurrency > maxConcurrency {
		all = append(all, problem("PAYLINK_CONCURRENCY", "%d is out of range; write 1 to %d", f.Concurrency, maxConcurrency))
	}
	if f.LedgerIntents < 1 {
		all = append(all, problem("PAYLINK_LEDGER_INTENTS", "%d is out of range; write 1 or more", f.LedgerIntents))
	}
	if f.DrainTimeout+handOver > k.RebalanceTimeout {
		all = append(all, problem("PAYLINK_DRAIN_TIMEOUT", "%s is too long for PAYLINK_KAFKA_REBALANCE_TIMEOUT (%s); leave %s between them, or a slow hand-over loses the membership", f.DrainTimeout, k.RebalanceTimeout, handOver).against("PAYLINK_KAFKA_REBALANCE_TIMEOUT"))
	}
	if r.Gateway.Timeout > f.DrainTimeout {
		all = append(all, problem("PAYLINK_GATEWAY_TIMEOUT", "%s is more than PAYLINK_DRAIN_TIMEOUT (%s); a stopping replica would cut calls off, and they would be repeated", r.Gateway.Timeout, f.DrainTimeout).against("PAYLINK_DRAIN_TIMEOUT"))
	}
	if f.LedgerWindow <= f.GiveUpAfter {
		all = append(all, problem("PAYLINK_LEDGER_WINDOW", "%s is not more than PAYLINK_GIVE_UP_AFTER (%s); an intent that is still being tried would count as too old", f.LedgerWindow, f.GiveUpAfter).against("PAYLINK_GIVE_UP_AFTER"))
	}
	return join(all...)
}

func (r *Run) checkEvents() error {
	all := []error{r.Events.Registry.prepare()}
	if r.Events.Format != "json" && r.Events.RegistryURL == "" {
		all = append(all, problem("PAYLINK_OUTCOME_FORMAT", "%s needs a schema registry; set PAYLINK_SCHEMA_REGISTRY_URL, or use json", r.Events.Format))
	}
	return join(all...)
}

func (a *Admin) prepare() error {
	all := []error{checkAddr("PAYLINK_ADMIN_ADDR", a.Addr, true), a.readToken()}
	if a.ClientCA != "" && a.CertFile == "" {
		return join(append(all, problem("PAYLINK_ADMIN_TLS_CERT_FILE", "is not set, but certificates of clients are asked for; give the server's own"))...)
	}
	_, err := a.TLS()
	return join(append(all, err)...)
}

func (a *Admin) readToken() (err error) {
	if a.Token == "" && a.TokenFile == "" {
		return nil
	}
	if a.Token, err = readSecret("PAYLINK_ADMIN_TOKEN", a.Token, a.TokenFile); err != nil {
		return err
	}
	a.TokenFile = ""
	if len(a.Token) < leastToken {
		return problem("PAYLINK_ADMIN_TOKEN", "is %d characters long; write a random one of at least %d", len(a.Token), leastToken)
	}
	return nil
}

// leastToken keeps what can be guessed from being a token.
const leastToken = 16

// TLS returns what the admin address speaks; nil: plain http. It reads the files.
func (a Admin) TLS() (*tls.Config, error) {
	if a.CertFile == "" && a.KeyFile == "" {
		return nil, nil
	}
	pair, err := readPair("PAYLINK_ADMIN_TLS_CERT_FILE", a.CertFile, a.KeyFile)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if a.ClientCA != "" {
		c.ClientAuth = tls.VerifyClientCertIfGiven // probes have none; telemetry insists for the rest
		if c.ClientCAs, err = readAuthorities("PAYLINK_ADMIN_TLS_CLIENT_CA_FILE", a.ClientCA); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (g *Gateway) prepare() error {
	return join(checkGateway("PAYLINK_GATEWAY_URL", g.URL), g.TLS.prepare())
}

func (t *GatewayTLS) prepare() (err error) {
	t.config = nil
	if t.CAFile == "" && t.CertFile == "" && t.KeyFile == "" {
		return nil
	}
	t.config, err = clientTLS("PAYLINK_GATEWAY_TLS_", t.CAFile, t.CertFile, t.KeyFile)
	return err
}

// topicName is what Kafka allows.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (t Topics) check() error {
	var all []error
	seen := map[string]string{}
	for _, s := range []struct{ name, topic string }{
		{"PAYLINK_TOPIC_INTENTS", t.Intents}, {"PAYLINK_TOPIC_OUTCOMES", t.Outcomes}, {"PAYLINK_TOPIC_DEAD_LETTERS", t.DeadLetters},
	} {
		if err := checkTopic(s.name, s.topic); err != nil {
			all = append(all, err)
		} else if other := seen[s.topic]; other != "" {
			all = append(all, problem(s.name, "%s is the same topic as %s; the three must differ", s.topic, other))
		}
		seen[s.topic] = s.name
	}
	return join(all...)
}

func checkTopic(name, topic string) error {
	if !topicName.MatchString(topic) || topic == "." || topic == ".." {
		return problem(name, "%q is no topic name; write letters, digits, dot, underscore and hyphen, at most 249", topic)
	}
	return nil
}

// check looks whether the topic can be one beside the three.
func (t Turns) check(others Topics) error {
	const name = "PAYLINK_TOPIC_TURNS"
	if t.Topic == others.Intents || t.Topic == others.Outcomes || t.Topic == others.DeadLetters {
		return problem(name, "%s is one of the three topics already; turns need one of their own, or off", t.Topic)
	}
	return checkTopic(name, t.Topic)
}

func (t *TLS) prepare() error {
	if !t.Enabled {
		if t.CAFile != "" || t.CertFile != "" || t.KeyFile != "" || t.ServerName != "" {
			return problem("PAYLINK_KAFKA_TLS_ENABLED", "is not true, but other TLS settings are given; set it to true, or remove them")
		}
		return nil
	}
	c, err := clientTLS("PAYLINK_KAFKA_TLS_", t.CAFile, t.CertFile, t.KeyFile)
	c.ServerName = t.ServerName
	t.config = c
	return err
}

func (s *SASL) prepare() error {
	if s.Mechanism == "" {
		if s.Username != "" || s.Password != "" || s.PasswordFile != "" {
			return problem("PAYLINK_KAFKA_SASL_MECHANISM", "is not set, but a login is given; use plain, scram-sha-256 or scram-sha-512")
		}
		if s.OAuth.any() || s.OAuth.AWSRegion != "" {
			return problem("PAYLINK_KAFKA_SASL_MECHANISM", "is not set, but a token's source is given; use oauthbearer or aws-msk-iam")
		}
		return nil
	}
	if s.Mechanism == "oauthbearer" || s.Mechanism == "aws-msk-iam" {
		return s.prepareToken()
	}
	var all []error
	if s.OAuth.any() {
		all = append(all, problem("PAYLINK_KAFKA_SASL_MECHANISM", "is %s, but a token's source is given; use oauthbearer, or leave that out", s.Mechanism))
	}
	if s.Username == "" {
		all = append(all, problem("PAYLINK_KAFKA_SASL_USERNAME", "is not set, but PAYLINK_KAFKA_SASL_MECHANISM is; give the user's name"))
	}
	if s.read != "" && s.read == s.PasswordFile {
		s.Password = "" // it came from there
	}
	var err error
	s.Password, err = readSecret("PAYLINK_KAFKA_SASL_PASSWORD", s.Password, s.PasswordFile)
	s.read = s.PasswordFile
	return join(append(all, err)...)
}

// prepareToken is for the mechanisms that show tokens.
func (s *SASL) prepareToken() error {
	var all []error
	if s.Username != "" || s.Password != "" || s.PasswordFile != "" {
		all = append(all, problem("PAYLINK_KAFKA_SASL_USERNAME", "or a password is given, and %s has neither; leave them out", s.Mechanism))
	}
	if s.Mechanism == "oauthbearer" {
		return join(append(all, s.OAuth.prepare())...)
	}
	if s.OAuth.AWSRegion == "" {
		all = append(all, problem("PAYLINK_KAFKA_AWS_REGION", "is not set; give the region of the brokers, such as eu-central-1"))
	} else if !topicName.MatchString(s.OAuth.AWSRegion) {
		all = append(all, problem("PAYLINK_KAFKA_AWS_REGION", "%.80q is no region; write one such as eu-central-1", s.OAuth.AWSRegion))
	}
	return join(all...)
}

// checkURL accepts absolute http and https URLs without login, query or fragment.
func checkURL(from, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return problem(from, "is no absolute URL; write https://host, perhaps with a path")
	case u.User != nil || strings.ContainsAny(text, "?#"):
		return problem(from, "must not hold a login, a query or a fragment; write https://host, perhaps with a path")
	}
	return nil
}

// checkGateway accepts what checkURL does, but for script names: one is added for
// each call, and all calls would go to a script that is not there.
func checkGateway(from, text string) error {
	if err := checkURL(from, text); err != nil {
		return err
	}
	if rule := payment.URLRule(text); rule != "" {
		return problem(from, "%s; write https://host, perhaps with a path", rule)
	}
	u, err := url.Parse(text)
	if err != nil {
		return problem(from, "is no absolute URL; write https://host, perhaps with a path")
	}
	folder, script := path.Split(strings.TrimRight(u.Path, "/"))
	if strings.Contains(strings.ToLower(script), ".php") || slices.Contains([]string{"init_payment", "get_status3"}, strings.ToLower(script)) {
		u.Path, u.RawPath = strings.TrimRight(folder, "/"), ""
		return problem(from, "must not name a script, and ends in %.80q, since the script is added for each call; write %s", script, u)
	}
	return nil
}

// checkAddr accepts host:port. To listen, the host may be missing and the port 0.
func checkAddr(from, addr string, listen bool) error {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || !listen && (host == "" || n == 0) || strings.ContainsAny(host, "/ @") {
		such := map[bool]string{false: "kafka:9092", true: "127.0.0.1:8080"}[listen]
		if strings.Contains(addr, "@") { // perhaps with a password before it
			return problem(from, "holds an entry with @, which is no address; write host:port, such as %s", such)
		}
		return problem(from, "%q is no address; write host:port, such as %s", addr, such)
	}
	return nil
}
