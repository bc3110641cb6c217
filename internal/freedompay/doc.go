// Package freedompay is the client of the Freedom Pay gateway: it signs the
// calls Init and status, sends each of them once, reads the answer and says
// what it proves.
//
// It promises that a link comes only from an answer whose signature verified,
// that no call is ever sent twice behind the caller's back, and that errors
// hold no secret and nothing personal. When to call again is not its business.
package freedompay
