package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version that the build was given (-ldflags "-X main.release=…"),
// because images are built where there is no .git. Empty: what Go recorded.
var release string

// version prints which build this is, by its release or as the Go toolchain recorded it.
func version(w world) error {
	_, err := fmt.Fprintf(w.out, "paylink %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// buildVersion is the release, or the module's version, with the commit if that is
// known.
func buildVersion() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := cmp.Or(info.Main.Version, "(devel)")
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v = "(devel) " + s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}
