package main

import (
	"bytes"
	"encoding/json"
	"strings"
)

// pretty puts a JSON schema on lines of its own; Protobuf has them.
func pretty(text string) []string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") == nil {
		text = b.String()
	}
	return strings.Split(strings.TrimSpace(text), "\n")
}

// maxDiff bounds the table of diffLines; longer schemas are told apart as a whole.
const maxDiff = 4000

// diffLines returns the lines that are in one text only, marked - and +, in
// their order, each run with the line before it.
func diffLines(a, b []string) []string {
	if len(a) > maxDiff || len(b) > maxDiff {
		return []string{"- (too long to be compared line by line)", "+ (too long to be compared line by line)"}
	}
	common := make([][]int, len(a)+1) // length of the longest common run of lines from i, j on
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out []string
	same := "" // the line before a run of differences, once
	for i, j := 0, 0; i < len(a) || j < len(b); {
		if i < len(a) && j < len(b) && a[i] == b[j] {
			same = "  " + a[i]
			i, j = i+1, j+1
			continue
		}
		if same != "" {
			out, same = append(out, same), ""
		}
		if j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1] {
			out, i = append(out, "- "+a[i]), i+1
		} else {
			out, j = append(out, "+ "+b[j]), j+1
		}
	}
	return out
}
