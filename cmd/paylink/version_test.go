package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestVersionIsTheReleaseOfTheBuild: images are built where Go sees no commit.
func TestVersionIsTheReleaseOfTheBuild(t *testing.T) {
	before := release
	defer func() { release = before }()
	release = "1.2.3"
	var out bytes.Buffer
	if err := version(world{out: &out}); err != nil || !strings.HasPrefix(out.String(), "paylink 1.2.3 go") {
		t.Errorf("version: %q, %v, want paylink 1.2.3 and Go's version", out.String(), err)
	}
}
