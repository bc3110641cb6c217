//go:build integration

package realkafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// A container is a single broker in Docker.
type container struct {
	addr   string // host:port of the bootstrap server
	keeper *keeper
}

// starter is the script that the container waits for.
const starter = "/tmp/start.sh"

// settings is the full set: the image applies no default once one is given.
var settings = map[string]string{
	"KAFKA_NODE_ID":                                          "1",
	"KAFKA_PROCESS_ROLES":                                    "broker,controller",
	"KAFKA_LISTENERS":                                        "PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,CONTROLLER://0.0.0.0:9094",
	"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":                   "PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
	"KAFKA_INTER_BROKER_LISTENER_NAME":                       "BROKER",
	"KAFKA_CONTROLLER_LISTENER_NAMES":                        "CONTROLLER",
	"KAFKA_CONTROLLER_QUORUM_VOTERS":                         "1@localhost:9094",
	"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":                 "1",
	"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":                     "4",
	"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR":         "1",
	"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":                    "1",
	"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS":             "4",
	"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
	"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR":            "1",
	"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":                 "0",
	"KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS":                     "1000",
	"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                        "false",
}

// startContainer runs a broker that lives as long as this process.
func startContainer() (*container, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	engine, err := dockerAnswers(ctx)
	if err != nil {
		return nil, absent("set KAFKA_HOME or KAFKA_BROKERS, or start Docker: %w", err)
	}
	image := cmp.Or(os.Getenv("KAFKA_IMAGE"), "apache/kafka:4.3.1")
	c, err := run(ctx, image)
	if err != nil {
		err = fmt.Errorf("start %s (KAFKA_IMAGE names another image): %w%s", image, err, tail(ctx, c))
		return nil, errors.Join(err, testcontainers.TerminateContainer(c))
	}
	k, err := keep("docker", "--host", engine, "rm", "--force", "--volumes", c.GetContainerID())
	if err != nil {
		return nil, errors.Join(err, testcontainers.TerminateContainer(c))
	}
	addr, err := reach(ctx, c)
	if err != nil {
		return nil, errors.Join(err, k.end())
	}
	return &container{addr: addr, keeper: k}, nil
}

// reach returns the address of the broker once it has been dialled.
func reach(ctx context.Context, c testcontainers.Container) (string, error) {
	addr, err := c.PortEndpoint(ctx, "9092/tcp", "")
	if err != nil {
		return "", err
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("the broker runs but cannot be reached (TESTCONTAINERS_HOST_OVERRIDE names the engine's host): %w", err)
	}
	return addr, conn.Close()
}

// run starts the container. The advertised address holds the mapped port, which
// exists only once the container runs: so the container waits for a script,
// and the script, copied in after the start, sets the address and becomes the broker.
func run(ctx context.Context, image string) (*testcontainers.DockerContainer, error) {
	return testcontainers.Run(ctx, image,
		testcontainers.WithExposedPorts("9092/tcp"),
		testcontainers.WithEnv(settings),
		testcontainers.WithEntrypoint("sh", "-c"),
		testcontainers.WithCmd("while [ ! -f "+starter+" ]; do sleep 0.1; done; exec bash "+starter),
		testcontainers.WithLifecycleHooks(testcontainers.ContainerLifecycleHooks{
			PostStarts: []testcontainers.ContainerHook{advertise},
		}),
		// An earlier line, "Transitioning from RECOVERY to RUNNING", comes before the port serves.
		testcontainers.WithWaitStrategy(wait.ForLog("Kafka Server started").WithStartupTimeout(2*time.Minute)),
	)
}

// advertise copies the script that starts the broker under its mapped address.
func advertise(ctx context.Context, c testcontainers.Container) error {
	if err := wait.ForMappedPort("9092/tcp").WaitUntilReady(ctx, c); err != nil {
		return err
	}
	addr, err := c.PortEndpoint(ctx, "9092/tcp", "PLAINTEXT")
	if err != nil {
		return err
	}
	script := fmt.Sprintf("export KAFKA_ADVERTISED_LISTENERS=%s,BROKER://localhost:9093\nexec /etc/kafka/docker/run\n", addr)
	return c.CopyToContainer(ctx, []byte(script), starter, 0o755)
}

// dockerAnswers asks the Docker engine for a sign of life and returns its address.
func dockerAnswers(ctx context.Context) (engine string, err error) {
	defer func() {
		if r := recover(); r != nil { // the library panics where it finds no engine at all
			err = fmt.Errorf("docker: %v", r)
		}
	}()
	if _, err := exec.LookPath("docker"); err != nil {
		return "", err
	}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return "", err
	}
	defer func() { _ = provider.Close() }()
	return provider.Client().DaemonHost(), provider.Health(ctx)
}

// tail returns the end of a container's log, for an error message.
func tail(ctx context.Context, c *testcontainers.DockerContainer) string {
	if c == nil {
		return ""
	}
	r, err := c.Logs(ctx)
	if err != nil {
		return ""
	}
	defer func() { _ = r.Close() }()
	log, _ := io.ReadAll(r)
	return "\n" + string(log[max(0, len(log)-4000):])
}
