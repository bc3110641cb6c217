//go:build integration

package realkafka

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// A tool has the nodes of a cluster started, hurt and stopped by kafka-local.
type tool struct {
	file   string
	port   string // of node 1, by which the tool knows the cluster
	keeper *keeper
}

func startTool(file string, l layout) (nodes, error) {
	t := &tool{file: file, port: strconv.Itoa(l.port)}
	var err error
	if t.keeper, err = keep(file, "stop", "--port", t.port); err != nil {
		return nil, err
	}
	args := []string{"--nodes", strconv.Itoa(l.count), "--heap", "512m"}
	for _, pair := range l.config {
		args = append(args, "--config", pair)
	}
	if err := t.do("start", args...); err != nil {
		_ = t.stop() // the start's error tells more
		return nil, err
	}
	return t, nil
}

func (t *tool) kill(node int) error    { return t.do("kill", strconv.Itoa(node)) }
func (t *tool) restart(node int) error { return t.do("restart", strconv.Itoa(node)) }
func (t *tool) pause(node int) error   { return t.do("pause", strconv.Itoa(node)) }
func (t *tool) resume(node int) error  { return t.do("resume", strconv.Itoa(node)) }
func (t *tool) stop() error            { return t.keeper.end() }

func (t *tool) do(command string, args ...string) error {
	cmd := exec.Command(t.file, append([]string{command, "--port", t.port}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kafka-local %s: %w: %s", command, err, strings.TrimSpace(stderr.String()))
	}
	return nil
}
