package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const oauth = "PAYLINK_KAFKA_SASL_MECHANISM=oauthbearer"

func TestTokensComeFromAFileOrAnEndpoint(t *testing.T) {
	const p = "PAYLINK_KAFKA_OAUTH_"
	token, empty := write(t, "token", canary+"\n\n"), write(t, "empty", "\n")
	cert, key := certificate(t)
	endpoint := []string{oauth, p + "TOKEN_URL=https://id.example/token", p + "CLIENT_ID=paylink", p + "CLIENT_SECRET_FILE=" + token}
	for _, c := range []struct {
		name string
		set  []string
		want []string // settings that are wrong
		says string
	}{
		{"a file", []string{oauth, p + "TOKEN_FILE=" + token}, nil, ""},
		{"an endpoint", append(endpoint, p+"SCOPES=a,b", p+"AUDIENCE=kafka", p+"CA_FILE="+cert, p+"EXTENSIONS=logicalCluster=lkc-1,identityPoolId=p"), nil, ""},
		{"Amazon's", []string{"PAYLINK_KAFKA_SASL_MECHANISM=aws-msk-iam", "PAYLINK_KAFKA_AWS_REGION=eu-central-1"}, nil, ""},
		{"neither", []string{oauth}, []string{p + "TOKEN_FILE"}, "needs one of them"},
		{"both", append(endpoint, p+"TOKEN_FILE="+token), []string{p + "TOKEN_FILE"}, "use one of them"},
		{"an empty file", []string{oauth, p + "TOKEN_FILE=" + empty}, []string{p + "TOKEN_FILE"}, "is empty"},
		{"no such file", []string{oauth, p + "TOKEN_FILE=/nowhere/token"}, []string{p + "TOKEN_FILE"}, "no such file"},
		{"half an endpoint", []string{oauth, p + "TOKEN_URL=id.example"}, []string{p + "TOKEN_URL", p + "CLIENT_ID", p + "CLIENT_SECRET"}, "https://host"},
		{"a CA file that is none", append(endpoint, p+"CA_FILE="+key), []string{p + "CA_FILE"}, "no PEM certificate"},
		{"extensions", append(endpoint, p+"EXTENSIONS=auth=x,a1=x,x,a=ы"), []string{p + "EXTENSIONS", p + "EXTENSIONS", p + "EXTENSIONS", p + "EXTENSIONS"}, "logicalCluster"},
		{"a user with it", append(endpoint, "PAYLINK_KAFKA_SASL_USERNAME=u"), []string{"PAYLINK_KAFKA_SASL_USERNAME"}, "leave them out"},
		{"no mechanism", endpoint[1:], []string{"PAYLINK_KAFKA_SASL_MECHANISM"}, "oauthbearer"},
		{"another mechanism", append(endpoint, "PAYLINK_KAFKA_SASL_MECHANISM=plain", "PAYLINK_KAFKA_SASL_USERNAME=u", "PAYLINK_KAFKA_SASL_PASSWORD="+canary), []string{"PAYLINK_KAFKA_SASL_MECHANISM"}, "oauthbearer"},
		{"no region", []string{"PAYLINK_KAFKA_SASL_MECHANISM=aws-msk-iam"}, []string{"PAYLINK_KAFKA_AWS_REGION"}, "eu-central-1"},
		{"no region, really", []string{"PAYLINK_KAFKA_SASL_MECHANISM=aws-msk-iam", "PAYLINK_KAFKA_AWS_REGION=evil.example/"}, []string{"PAYLINK_KAFKA_AWS_REGION"}, "eu-central-1"},
	} {
		r, _, err := parse(good(c.set...))
		if err == nil && c.want == nil {
			if again := r.Run; again.Prepare() != nil { // as a running service does
				t.Errorf("%s: prepared twice: %v", c.name, again.Prepare())
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: taken, want %q", c.name, c.want)
			continue
		}
		if diff := cmp.Diff(c.want, settingsOf(err)); diff != "" || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %s\n%v", c.name, diff, err)
		}
	}
}

func TestATokenIsReadAsItIsNow(t *testing.T) {
	file := write(t, "token", "first\n")
	r, _, err := parse(good(oauth, "PAYLINK_KAFKA_OAUTH_TOKEN_FILE="+file))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second"} {
		rewrite(t, file, text+"\n")
		if token, err := r.Run.Kafka.SASL.OAuth.Token(); err != nil || token.Reveal() != text {
			t.Errorf("token %q, %v; want %q", token.Reveal(), err, text)
		}
	}
}

func TestAnotherTokenSourceIsALoginThatChanged(t *testing.T) {
	const p = "PAYLINK_KAFKA_OAUTH_"
	cert, _ := certificate(t)
	base := good(oauth, p+"TOKEN_URL=https://id.example/token", p+"CLIENT_ID=paylink", p+"CLIENT_SECRET="+canary)
	for _, c := range []struct {
		set, want []string
	}{
		{nil, nil},
		{[]string{p + "CLIENT_SECRET=other-" + canary}, []string{"client's secret"}},
		{[]string{p + "SCOPES=a"}, []string{"token's source"}},
		{[]string{p + "CA_FILE=" + cert}, []string{"token endpoint's authorities"}},
	} {
		old, _, err := parse(base)
		next, _, err2 := parse(append(append([]string(nil), base...), c.set...))
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if diff := cmp.Diff(c.want, old.Run.Kafka.LoginChanges(next.Run.Kafka.Broker)); diff != "" {
			t.Errorf("%q: %s", c.set, diff)
		}
		if names := old.Run.NeedRestart(next.Run); len(names) > 0 {
			t.Errorf("%q: %q need a restart", c.set, names)
		}
	}
}
