// Package gatewaysim is the gateway's other side: an http.Handler that serves
// Init and status as strictly as the gateway's page describes them, remembers
// the payments it made, shows a payment page that a person can open and "pay",
// and misbehaves on request.
//
// Its rules are written from the gateway's page (see params.go), not from our
// client: of our client it borrows the shape of a field and the signature, and
// both are held by outside vectors. It moves no money and calls nobody: the
// merchant's check_url and result_url are checked and never used.
//
// # What it serves
//
//	POST /init_payment.php           make a payment
//	POST /get_status3.php            look one up by order id or payment id
//	GET  /status/healthcheck         {"status":"ok","time":"…"}
//	GET  /pay/{id}                   the payment page; POST pays or declines
//	GET  /                           overview of the latest payments
//	GET  /sim/calls                  the log as JSON; ?order= ?merchant= ?after=N
//	GET  /sim/payments               payments as JSON; ?order=
//	GET  /sim/counts                 counters as JSON
//	GET  /sim/rules                  rules in force, and every unkindness there is
//	POST /sim/rules                  body: rules as below; an empty body ends them
//	POST /sim/down, POST /sim/up     body of down: "503" (default) or "cut"
//	POST /sim/latency                body: "50ms", "50ms-200ms" or "0"
//	POST /sim/merchants/{id}/secret  body: the merchant's new secret; empty removes the merchant
//	POST /sim/payments/{id}/state    body: the gateway's word, like "success" or "process"
//
// Phone, e-mail and IP are never shown: in the log they are keyed hashes, so
// that two calls can be compared and nothing can be read.
//
// # Unkindness
//
// Each has one name. "Made" says whether the payment is made (or, for status,
// looked up) before the unkindness is played; "ok" says that it is, and that
// only an ok answer is spoilt: an error stays as it is. A time is a Go duration.
//
//	name             argument     made  what the caller sees
//	cut-before                    no    connection cut, no answer
//	500-before                    no    HTTP 500, plain text
//	html             status=503   no    that HTTP status with an HTML page
//	429              time         no    HTTP 429; Retry-After in seconds, none without argument
//	429-date         time         no    HTTP 429; Retry-After as an HTTP date
//	credentials      code=9998    no    unsigned error: wrong signature or merchant
//	error            code:status  no    unsigned error of that code; HTTP 200 unless said
//	signed-error     code:status  no    the same, signed
//	duplicate-before              no    unsigned error 11013, though nothing exists
//	not-found                     no    status only: error 11068, though it may exist
//	lost-answer                   yes   connection cut, no answer
//	500-after                     yes   HTTP 500, plain text
//	error-after      code:status  ok    unsigned error of that code, though a payment exists
//	duplicate                     ok    unsigned error 11013, and the payment exists
//	slow             time=30s     yes   the right answer, late
//	pending                       ok    signed pg_status=pending with the payment id, no link
//	unknown-status                ok    signed pg_status=accepted, else like ok
//	unsigned-ok                   ok    the ok answer without pg_sig
//	wrong-signature               ok    the answer signed with another secret
//	no-url                        ok    signed ok without pg_redirect_url
//	no-payment-id                 ok    signed ok without pg_payment_id
//	bad-url                       ok    signed ok whose link is no http(s) URL
//	payment-system                ok    signed ok of type "payment system" (no fault, only rarer)
//	html-type                     yes   the right answer as text/html (no fault, only rarer)
//	broken-xml                    yes   complete, but not well-formed
//	truncated-xml                 yes   half of the answer, then the connection is cut
//	huge-body        MiB=8        yes   an ok answer that goes on for so many MiB
//	redirect                      yes   HTTP 302 to /sim/redirected; who follows is logged for it
//	empty-body                    yes   HTTP 200 and nothing
//
// They are asked for in three ways; the first that applies is played.
//
//   - Per order, by a marker in the order id or the description: "sim:" and
//     steps, as in "sim:500-after*2,lost-answer" — the order's first two calls
//     get 500-after, all others lost-answer. A step without a count never
//     ends. Since intent ids allow no "*", "_" means the same: "sim:500-after_2".
//     The marker ends before the first character that is no lower-case letter,
//     digit or one of : * _ , / -
//   - By rules given to Config.Rules, Misbehave or POST /sim/rules (ParseRules):
//     "lost-answer=0.05,500-before=0.02" by rate; "500-before*5" the next five
//     calls; "slow:2s@540001" all calls of a merchant.
//   - Down takes the whole gateway away, pages included.
//
// A step or rule speaks of Init unless it starts with "status/", as in
// "status/not-found*1". Chance depends on Config.Seed, merchant, order and the
// number of the order's call, not on the order in which calls arrive.
package gatewaysim
