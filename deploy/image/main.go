// Command image packs one static binary into a container image, as a file that
// "docker load" and registries' tools take. No Docker is needed, nothing is pulled,
// and the same files make the same bytes: all times are SOURCE_DATE_EPOCH, seconds
// since 1970.
//
//	go -C deploy run ./image -name paylink:dev -binary ../bin/linux-amd64/paylink -cmd run -port 8080/tcp \
//	    -add /LICENCES=../bin/LICENCES -out ../bin/paylink.tar
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// user is nobody's, by number: Kubernetes sees that it is not root.
const user = "65532:65532"

// A plan is what an image holds.
type plan struct {
	binary  string      // file of the host; its base name stands at the root, and is started
	add     [][2]string // other files: path in the image, file of the host
	cmd     string      // arguments if none are given; empty: none
	port    string      // that it listens on, such as 8080/tcp; empty: none
	arch    string      // GOARCH of the binary
	version string
	date    time.Time // of everything
}

func main() {
	if err := run(os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string, epoch string, stdout io.Writer) error {
	var p plan
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	tag := flags.String("name", "", "`name:tag` of the image")
	out := flags.String("out", "", "`file` to write")
	flags.StringVar(&p.binary, "binary", "", "`file` to start")
	flags.StringVar(&p.cmd, "cmd", "", "its `argument`, if none is given")
	flags.StringVar(&p.port, "port", "", "`port/tcp` that it listens on")
	flags.StringVar(&p.arch, "arch", runtime.GOARCH, "`processor` of the binary, as Go calls it")
	flags.StringVar(&p.version, "version", "", "`version`, as a label")
	flags.Func("add", "`path=file`: another file for the image", func(s string) error {
		to, from, ok := strings.Cut(s, "=")
		if !ok || !path.IsAbs(to) {
			return errors.New("want /path=file")
		}
		p.add = append(p.add, [2]string{to, from})
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	p.date = time.Unix(seconds, 0).UTC()
	ref, err := name.NewTag(*tag)
	if err != nil {
		return err
	}
	img, err := p.image()
	if err != nil {
		return err
	}
	if err := tarball.WriteToFile(*out, ref, img); err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s %s\n", *tag, digest)
	return err
}

// image makes two layers, so that a new binary leaves the other files' as it is.
func (p plan) image() (v1.Image, error) {
	binary := "/" + filepath.Base(p.binary)
	img := empty.Image
	for _, files := range [][][2]string{p.add, {{binary, p.binary}}} {
		data, err := p.tar(files)
		if err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		if err != nil {
			return nil, err
		}
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: p.date}, CreatedBy: "paylink/deploy/image"}})
		if err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", p.arch, v1.Time{Time: p.date}
	config.Config = v1.Config{User: user, Entrypoint: []string{binary}, WorkingDir: "/",
		Labels: map[string]string{"org.opencontainers.image.version": p.version}}
	if p.cmd != "" {
		config.Config.Cmd = []string{p.cmd}
	}
	if p.port != "" {
		config.Config.ExposedPorts = map[string]struct{}{p.port: {}}
	}
	return mutate.ConfigFile(img, config)
}

// tar holds files and the folders above them, all root's and never written.
func (p plan) tar(files [][2]string) ([]byte, error) {
	slices.SortFunc(files, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	made := map[string]bool{"/": true}
	for _, f := range files {
		data, err := os.ReadFile(f[1])
		if err != nil {
			return nil, err
		}
		mode := int64(0o444)
		if f[1] == p.binary {
			mode = 0o555
		}
		if err := p.folders(w, path.Dir(f[0]), made); err != nil {
			return nil, err
		}
		head := tar.Header{Typeflag: tar.TypeReg, Name: f[0][1:], Size: int64(len(data)), Mode: mode, ModTime: p.date, Format: tar.FormatPAX}
		if err := w.WriteHeader(&head); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

func (p plan) folders(w *tar.Writer, dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	if err := p.folders(w, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755, ModTime: p.date, Format: tar.FormatPAX})
}
