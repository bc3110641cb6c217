package kafkaops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"paylink/internal/kafkaio"
)

// Topics names the three topics of the service, and the one by which turns are lent.
type Topics struct {
	Intents, Outcomes, DeadLetters string

	Turns string // empty: none are lent
}

// all are the three that the service cannot do without.
func (t Topics) all() []string { return []string{t.Intents, t.Outcomes, t.DeadLetters} }

// withTurns are all that there may be.
func (t Topics) withTurns() []string {
	if t.Turns == "" {
		return t.all()
	}
	return append(t.all(), t.Turns)
}

// A Plan says how CreateTopics makes the topics.
type Plan struct {
	Topics       Topics
	Partitions   int           // of each of the three
	Replication  int           // copies of each partition; 0: three, or as many as there are brokers
	LedgerWindow time.Duration // outcomes are kept a day longer than this
}

// A TopicState is a topic as the brokers describe it.
type TopicState struct {
	Name       string            `json:"name"`
	Exists     bool              `json:"exists"`
	Partitions int               `json:"partitions"`
	Replicas   int               `json:"replicas"`   // of the partition that has the fewest
	OutOfSync  int               `json:"outOfSync"`  // partitions with a replica that is behind
	Leaderless int               `json:"leaderless"` // partitions that nobody can write to
	Refusing   int               `json:"refusing"`   // partitions that take nothing now: fewer replicas in sync than min.insync.replicas
	Settings   map[string]string `json:"settings"`   // those of settingNames; nil: not allowed to see
}

// A TopicReport is what CreateTopics did about a topic.
type TopicReport struct {
	Name        string   `json:"name"`
	Created     bool     `json:"created"`               // else it was there already and is left as it is
	Differences []string `json:"differences,omitempty"` // from the plan, of a topic that was there
}

// The settings of a topic that matter to the promise.
const (
	setCleanup      = "cleanup.policy"
	setRetention    = "retention.ms"
	setRetentionLen = "retention.bytes"
	setMinISR       = "min.insync.replicas"
	setUnclean      = "unclean.leader.election.enable"
	setMaxMessage   = "max.message.bytes"
)

// SettingNames returns the names of a topic's settings that matter to the promise.
func SettingNames() []string {
	return []string{setCleanup, setRetention, setRetentionLen, setMinISR, setUnclean, setMaxMessage}
}

// deadLettersFor is how long dead letters are kept at least: a month of looks.
const deadLettersFor = 30 * 24 * time.Hour

// An admin asks the brokers about their topics.
type admin struct {
	connection kafkaio.Connection
	client     *kafka.Client
	close      func()
}

func newAdmin(c kafkaio.Connection, topics []string) (*admin, error) {
	tr, err := c.Transport(topics...)
	if err != nil {
		return nil, err
	}
	return &admin{connection: c, client: c.Client(tr), close: tr.CloseIdleConnections}, nil
}

// CreateTopics makes those of the topics that do not exist, and reports
// how those that do differ from the plan. It may be repeated at any time.
func CreateTopics(ctx context.Context, c kafkaio.Connection, plan Plan) ([]TopicReport, error) {
	names := plan.Topics.withTurns()
	a, err := newAdmin(c, names)
	if err != nil {
		return nil, err
	}
	defer a.close()
	md, err := a.metadata(ctx, names)
	if err != nil {
		return nil, err
	}
	configs := plan.configs(len(md.Brokers))
	created, err := a.create(ctx, configs)
	if err != nil {
		return nil, err
	}
	states, err := a.await(ctx, names)
	if err != nil {
		return nil, err
	}
	var reports []TopicReport
	for i, s := range states {
		r := TopicReport{Name: s.Name, Created: created[s.Name]}
		if !r.Created {
			r.Differences = differences(s, configs[i])
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// DescribeTopics tells what the brokers know of the topics. That for turns is left out
// where we may not look at it.
func DescribeTopics(ctx context.Context, c kafkaio.Connection, topics Topics) ([]TopicState, error) {
	names := topics.withTurns()
	a, err := newAdmin(c, names)
	if err != nil {
		return nil, err
	}
	defer a.close()
	md, err := a.metadata(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, t := range md.Topics {
		if t.Name == topics.Turns && errors.Is(t.Error, kafka.TopicAuthorizationFailed) {
			names = topics.all()
		}
	}
	return a.describe(ctx, md, names)
}

// metadata asks for brokers and topics. A new transport may answer with an error
// while its first look at the cluster is under way, so that is repeated.
func (a *admin) metadata(ctx context.Context, topics []string) (*kafka.MetadataResponse, error) {
	var last error
	for range 5 {
		md, err := a.client.Metadata(ctx, &kafka.MetadataRequest{Topics: topics})
		if err == nil {
			return md, nil
		}
		last = err
		if ctx.Err() != nil || !kafkaio.Sleep(ctx, 200*time.Millisecond) {
			break
		}
	}
	return nil, fmt.Errorf("ask %s for its topics: %w", brokersOf(a.client.Addr), last)
}

// create makes topics and reports which of them are new.
func (a *admin) create(ctx context.Context, configs []kafka.TopicConfig) (map[string]bool, error) {
	for try := 1; ; try++ {
		created, err := a.createOnce(ctx, configs)
		// The controller has moved, and the metadata at hand do not know yet.
		if !errors.Is(err, kafka.NotController) || try == mostTries || !kafkaio.Sleep(ctx, 250*time.Millisecond) {
			return created, err
		}
	}
}

// mostTries is how often a request to the controller is sent that has moved.
const mostTries = 20

func (a *admin) createOnce(ctx context.Context, configs []kafka.TopicConfig) (map[string]bool, error) {
	res, err := a.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: configs})
	if err != nil {
		return nil, fmt.Errorf("create topics: %w", err)
	}
	created := map[string]bool{}
	for _, c := range configs {
		err, answered := res.Errors[c.Topic]
		switch {
		case !answered:
			return nil, fmt.Errorf("create topic %s: no answer", c.Topic)
		case err == nil:
			created[c.Topic] = true
		case !errors.Is(err, kafka.TopicAlreadyExists):
			return nil, fmt.Errorf("create topic %s: %w", c.Topic, err)
		}
	}
	return created, nil
}

// await waits until all topics are there with a leader for each partition, and every
// broker knows of them: who asks another one next is not told that they are missing.
func (a *admin) await(ctx context.Context, names []string) ([]TopicState, error) {
	for {
		md, err := a.metadata(ctx, names)
		if err != nil {
			return nil, err
		}
		states, err := a.describe(ctx, md, names)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(states, func(s TopicState) bool { return !s.Exists || s.Leaderless > 0 }) &&
			a.allKnow(ctx, md, names) {
			return states, nil
		}
		if !kafkaio.Sleep(ctx, 200*time.Millisecond) {
			return nil, fmt.Errorf("wait for the new topics: %w", context.Cause(ctx))
		}
	}
}

// allKnow asks each broker for the topics. One that does not answer will hear of them
// when it is back.
func (a *admin) allKnow(ctx context.Context, md *kafka.MetadataResponse, names []string) bool {
	for _, b := range md.Brokers {
		one := a.connection
		one.Brokers = []string{net.JoinHostPort(b.Host, strconv.Itoa(b.Port))}
		its, err := newAdmin(one, names)
		if err != nil {
			continue
		}
		has, err := its.metadata(ctx, names)
		its.close()
		if err == nil && len(existing(has)) < len(names) {
			return false
		}
	}
	return true
}

func (a *admin) describe(ctx context.Context, md *kafka.MetadataResponse, names []string) ([]TopicState, error) {
	settings, err := a.settings(ctx, kafka.ResourceTypeTopic, existing(md)...)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	var states []TopicState
	for _, name := range names {
		i := slices.IndexFunc(md.Topics, func(t kafka.Topic) bool { return t.Name == name })
		if i < 0 || md.Topics[i].Error != nil {
			if i >= 0 && !errors.Is(md.Topics[i].Error, kafka.UnknownTopicOrPartition) {
				return nil, fmt.Errorf("describe topic %s: %w", name, md.Topics[i].Error)
			}
			states = append(states, TopicState{Name: name})
			continue
		}
		states = append(states, stateOf(md.Topics[i], settings[name]))
	}
	return states, nil
}

func existing(md *kafka.MetadataResponse) []string {
	var names []string
	for _, t := range md.Topics {
		if t.Error == nil {
			names = append(names, t.Name)
		}
	}
	return names
}

func stateOf(t kafka.Topic, settings map[string]string) TopicState {
	s := TopicState{Name: t.Name, Exists: true, Partitions: len(t.Partitions)}
	if settings != nil {
		s.Settings = map[string]string{}
		for _, name := range SettingNames() {
			s.Settings[name] = settings[name]
		}
	}
	for i, p := range t.Partitions {
		if i == 0 || len(p.Replicas) < s.Replicas {
			s.Replicas = len(p.Replicas)
		}
		if len(p.Isr) < len(p.Replicas) {
			s.OutOfSync++
		}
		if p.Leader.Host == "" {
			s.Leaderless++
		} else if len(p.Isr) < s.needs(len(p.Replicas)) {
			s.Refusing++
		}
	}
	return s
}

// needs is how many of so many replicas must be in sync, so that a partition takes
// anything. More than there are, brokers do not ask for (tried on 4.3.1).
func (s TopicState) needs(replicas int) int {
	minISR, _ := strconv.Atoi(s.Settings[setMinISR])
	return min(minISR, replicas)
}

// settings asks for the settings of topics or of one broker, by resource. A
// resource that we may not look at has none.
func (a *admin) settings(ctx context.Context, kind kafka.ResourceType,
	names ...string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	if len(names) == 0 {
		return out, nil
	}
	req := &kafka.DescribeConfigsRequest{}
	for _, n := range names {
		req.Resources = append(req.Resources, kafka.DescribeConfigRequestResource{ResourceType: kind, ResourceName: n})
	}
	res, err := a.client.DescribeConfigs(ctx, req)
	if err != nil {
		return nil, err
	}
	for _, r := range res.Resources {
		if r.Error != nil {
			continue
		}
		m := map[string]string{}
		for _, e := range r.ConfigEntries {
			m[e.ConfigName] = e.ConfigValue
		}
		out[r.ResourceName] = m
	}
	return out, nil
}

// configs returns how the topics are to be made on so many brokers.
func (p Plan) configs(brokers int) []kafka.TopicConfig {
	keep := p.LedgerWindow + 24*time.Hour
	all := []kafka.TopicConfig{
		p.config(p.Topics.Intents, brokers, keep),
		p.config(p.Topics.Outcomes, brokers, keep),
		p.config(p.Topics.DeadLetters, brokers, max(keep, deadLettersFor)),
	}
	if p.Topics.Turns != "" {
		turns := p.config(p.Topics.Turns, brokers, turnsFor)
		turns.NumPartitions = 1
		all = append(all, turns)
	}
	return all
}

func (p Plan) config(name string, brokers int, keep time.Duration) kafka.TopicConfig {
	replicas := p.Replication
	if replicas == 0 {
		replicas = max(1, min(3, brokers))
	}
	minISR := 1
	if replicas >= 3 {
		minISR = 2
	}
	return kafka.TopicConfig{
		Topic: name, NumPartitions: p.Partitions, ReplicationFactor: replicas,
		ConfigEntries: []kafka.ConfigEntry{
			{ConfigName: setCleanup, ConfigValue: "delete"},
			{ConfigName: setRetention, ConfigValue: strconv.FormatInt(keep.Milliseconds(), 10)},
			{ConfigName: setRetentionLen, ConfigValue: "-1"},
			{ConfigName: setMinISR, ConfigValue: strconv.Itoa(minISR)},
			{ConfigName: setUnclean, ConfigValue: "false"},
		},
	}
}

// differences says in words where a topic is not as planned.
func differences(s TopicState, want kafka.TopicConfig) []string {
	var out []string
	if s.Partitions != want.NumPartitions {
		out = append(out, fmt.Sprintf("has %d partitions, planned are %d", s.Partitions, want.NumPartitions))
	}
	if s.Replicas != want.ReplicationFactor {
		out = append(out, fmt.Sprintf("has %d replicas, planned are %d", s.Replicas, want.ReplicationFactor))
	}
	for _, e := range want.ConfigEntries {
		if have, ok := s.Settings[e.ConfigName]; ok && have != e.ConfigValue {
			out = append(out, fmt.Sprintf("%s is %s, planned is %s", e.ConfigName, have, e.ConfigValue))
		}
	}
	return out
}

func brokersOf(a net.Addr) string { return strings.ReplaceAll(a.String(), ",", ", ") }
