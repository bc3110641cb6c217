package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// An Error is a setting that cannot stand: exit code 2. It holds no secret.
type Error struct {
	Setting string // where it was given: PAYLINK_RATE, --rate, or file and key
	Problem string // what is wrong with it, and how to mend it

	beside string // the setting that it was compared with; empty: none
}

// Error is one line.
func (e *Error) Error() string {
	if e.Setting == "" {
		return e.Problem
	}
	return e.Setting + ": " + e.Problem
}

// against says which other setting it was compared with. Where that one is itself
// what is wrong, the comparison says nothing.
func (e *Error) against(setting string) *Error {
	e.beside = setting
	return e
}

// problem makes an Error of a setting, named by its variable.
func problem(setting, format string, args ...any) *Error {
	return &Error{Setting: setting, Problem: fmt.Sprintf(format, args...)}
}

// Errors are all settings that cannot stand, in the order of the manual; what
// cannot be read at all comes first. There are two at least.
type Errors []*Error

// Error is one line, for logs; Lines are for people.
func (es Errors) Error() string { return strings.Join(Lines(es), "; ") }

// Unwrap lets errors.As find the first.
func (es Errors) Unwrap() []error {
	all := make([]error, len(es))
	for i, e := range es {
		all[i] = e
	}
	return all
}

// mostLines bounds what is told at once: a merchants file may have thousands of
// mistakes that are one.
const mostLines = 50

// Lines returns an error line by line: each bad setting has one.
func Lines(err error) []string {
	es, ok := errors.AsType[Errors](err)
	if !ok {
		return []string{err.Error()}
	}
	var lines []string
	for _, e := range es[:min(len(es), mostLines)] {
		lines = append(lines, e.Error())
	}
	if more := len(es) - mostLines; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// join makes one error of several, each line once, without comparisons with what
// is itself wrong. It is nil if all are, and the only one as it is. What is no
// Error ends it: nothing is known then.
func join(errs ...error) error {
	var all Errors
	wrong, told := map[string]bool{}, map[string]bool{"": true}
	for _, err := range errs {
		es, ok := each(err)
		if !ok {
			return err
		}
		for _, e := range es {
			wrong[e.Setting] = true
		}
		all = append(all, es...)
	}
	all = slices.DeleteFunc(all, func(e *Error) bool {
		again := told[e.Error()]
		told[e.Error()] = true
		return again || e.beside != "" && wrong[e.beside]
	})
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

// each returns the Errors in an error, none of nil; false if it is something else.
func each(err error) (Errors, bool) {
	if err == nil {
		return nil, true
	}
	if es, ok := errors.AsType[Errors](err); ok {
		return slices.Clone(es), true
	}
	e, ok := errors.AsType[*Error](err)
	return Errors{e}, ok
}

// unread are the settings whose values could not be read. Reading goes on with
// their defaults, so that the others are judged too.
type unread struct {
	problems []error
	settings map[string]bool // by their variables
}

// note keeps a problem of a flag. It reports false if it is none of a setting's
// value: then nothing can go on.
func (u *unread) note(v *kong.Value, err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || v.Flag == nil {
		return false
	}
	u.problems = append(u.problems, e)
	if env := v.Tag.Get(envTag); env != "" {
		u.settings[env] = true
	}
	return true
}

// and adds to what could not be read what is wrong with the rest. A setting that
// could not be read is told once, and nothing is compared with it.
func (u *unread) and(err error) error {
	es, ok := each(err)
	if !ok {
		return err
	}
	all := u.problems
	for _, e := range es {
		if !u.settings[e.Setting] && !u.settings[e.beside] {
			all = append(all, e)
		}
	}
	return join(all...)
}
