package payment

import (
	"errors"
	"time"
)

// errNoTime says that a text is no time. It never quotes the text.
var errNoTime = errors.New("no RFC 3339 time")

// A time is of the years 1970 to 9999, in seconds. Before them lie the zeros of
// others' clocks and languages, which nobody means.
const (
	firstSecond = 0
	lastSecond  = 253402300799
)

// ParseTime reads a time just as RFC 3339 writes it: two digits wherever it says
// two, a point before the fraction, T and Z in either case. time.Parse takes
// less, and more. The leap second at the end of a month is the next second's
// beginning, as clocks without leap seconds have it.
func ParseTime(s string) (time.Time, error) {
	const layout = "0000-00-00T00:00:00"
	if len(s) <= len(layout) || !shaped(s[:len(layout)], layout) {
		return time.Time{}, errNoTime
	}
	nanos, zone, ok := fraction(s[len(layout):])
	if !ok {
		return time.Time{}, errNoTime
	}
	offset, ok := offsetOf(zone)
	if !ok {
		return time.Time{}, errNoTime
	}
	year, month, day := 100*two(s, 0)+two(s, 2), two(s, 5), two(s, 8)
	hour, minute, second := two(s, 11), two(s, 14), two(s, 17)
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, errNoTime
	}
	if second == 60 {
		nanos = 0
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC).Add(-offset)
	if second == 60 && (t.Day() != 1 || t.Hour() != 0 || t.Minute() != 0) {
		return time.Time{}, errNoTime
	}
	if sec := t.Unix(); sec < firstSecond || sec > lastSecond {
		return time.Time{}, errNoTime
	}
	return t, nil
}

func daysIn(year, month int) int {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

// shaped reports whether a text has a digit for every zero of the layout, and
// otherwise the same letters, in either case.
func shaped(s, layout string) bool {
	for i := range len(layout) {
		c := s[i]
		switch layout[i] {
		case '0':
			if c < '0' || c > '9' {
				return false
			}
		case 'T':
			if c != 'T' && c != 't' {
				return false
			}
		default:
			if c != layout[i] {
				return false
			}
		}
	}
	return true
}

// two reads two digits that are known to be there.
func two(s string, at int) int { return 10*int(s[at]-'0') + int(s[at+1]-'0') }

// fraction reads the part of a second, if there is one: a point and at least one
// digit. More than nine tell nothing that we could keep.
func fraction(s string) (nanos int, rest string, ok bool) {
	if s[0] != '.' {
		return 0, s, true
	}
	i, unit := 1, 100_000_000
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		nanos += int(s[i]-'0') * unit
		unit /= 10
	}
	return nanos, s[i:], i > 1
}

// offsetOf reads Z or a difference from UTC.
func offsetOf(s string) (time.Duration, bool) {
	if s == "Z" || s == "z" {
		return 0, true
	}
	if len(s) != len("+00:00") || s[0] != '+' && s[0] != '-' || !shaped(s[1:], "00:00") {
		return 0, false
	}
	hours, minutes := two(s, 1), two(s, 4)
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}
