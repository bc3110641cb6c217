package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const isc = `ISC License

Copyright (c) 2026 Somebody

Permission to use, copy, modify, and/or distribute this software for any
purpose with or without fee is hereby granted, provided that the above
copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
`

// agpl is the beginning of a licence that we may not hand on.
const agpl = `This program is free software: you can redistribute it and/or modify
it under the terms of the GNU Affero General Public License as published by
the Free Software Foundation, either version 3 of the License, or
(at your option) any later version.
`

// judge looks at a module of the given files from the folder of its package "deep".
func judge(t *testing.T, files map[string]string) ([]string, string, error) {
	t.Helper()
	m := &module{"example.com/m", "v1.0.0", t.TempDir(), map[string]bool{}}
	if err := os.Mkdir(filepath.Join(m.dir, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.look(filepath.Join(m.dir, "deep")); err != nil {
		t.Fatal(err)
	}
	var full bytes.Buffer
	ids, err := m.write(&full)
	return ids, full.String(), err
}

func TestALicenceIsKnownByItsText(t *testing.T) {
	ids, full, err := judge(t, map[string]string{"LICENSE": isc, "NOTICE": "Thanks to somebody."})
	if err != nil || !slices.Equal(ids, []string{"ISC"}) {
		t.Errorf("licences %v, %v, want ISC", ids, err)
	}
	if !strings.Contains(full, "DISCLAIMS ALL WARRANTIES") || !strings.Contains(full, "Thanks to somebody.") {
		t.Errorf("licence or notice is missing in:\n%s", full)
	}
}

func TestWhatMayNotBeHandedOnIsRefused(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"has no licence":             {"README": "mine"},
		"LICENSE.txt is no licence":  {"LICENSE.txt": "Ask me, and I may let you use it one day, or not at all."},
		"licence AGPL-3.0":           {"COPYING": agpl},
		"deep/LICENSE is no licence": {"LICENSE": isc, "deep/LICENSE": "This folder is mine alone, whatever is written above it."},
		"licence AGPL-3.0-or-later":  {"LICENSE": isc, "deep/COPYING": agpl},
	} {
		if ids, _, err := judge(t, files); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: licences %v, %v, want a refusal: %s", files, ids, err, name)
		}
	}
}
