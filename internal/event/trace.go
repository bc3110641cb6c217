package event

import "github.com/go-json-experiment/json/jsontext"

// The headers of W3C Trace Context. CloudEvents carries the same two as the
// attributes of its distributed tracing extension.
const (
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
)

// traceOf returns the trace context to be carried on: the record's own headers,
// else the ce_ headers, else the envelope's attributes. What does not have the
// shape of one is left behind, as the standard asks for.
func traceOf(m Message, e envelope) []Header {
	parent, state := m.Header(headerTraceParent), m.Header(headerTraceState)
	if !validTraceParent(parent) {
		parent, state = m.Header("ce_"+headerTraceParent), m.Header("ce_"+headerTraceState)
	}
	if !validTraceParent(parent) {
		parent, state = unquoted(e.traceParent), unquoted(e.traceState)
	}
	if !validTraceParent(parent) {
		return nil
	}
	trace := []Header{{headerTraceParent, append([]byte(nil), parent...)}}
	if validTraceState(state) {
		trace = append(trace, Header{headerTraceState, append([]byte(nil), state...)})
	}
	return trace
}

// TraceID is the id of the trace that a record names, or "".
func TraceID(trace []Header) string {
	if len(trace) == 0 {
		return ""
	}
	return string(trace[0].Value[3:35]) // it has that shape
}

func unquoted(raw []byte) []byte {
	if raw == nil {
		return nil
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return nil
	}
	return text
}

// validTraceParent checks version-traceid-parentid-flags, in lower-case hex.
// A version after 00 may add fields.
func validTraceParent(b []byte) bool {
	const size = 55
	if len(b) < size || b[2] != '-' || b[35] != '-' || b[52] != '-' {
		return false
	}
	version, trace, parent, flags := b[:2], b[3:35], b[36:52], b[53:55]
	if !hexDigits(version) || string(version) == "ff" || !hexDigits(flags) {
		return false
	}
	if len(b) > size && (string(version) == "00" || b[size] != '-' || len(b) > 512) {
		return false
	}
	return hexDigits(trace) && !zeros(trace) && hexDigits(parent) && !zeros(parent)
}

// validTraceState is lenient: printable ASCII, of a length that any tracer carries.
func validTraceState(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 512
}

func hexDigits(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}
