package freedompay

import (
	"strings"

	"paylink/internal/payment"
)

// codeNotFound says that no such order is known: of the status call only.
const codeNotFound = "11068"

// classOf returns the class of an error code and its cause. The gateway
// publishes no list; what is unknown is in doubt here.
func classOf(code string) (payment.Class, string) {
	switch code {
	case "1100", "9998", // bad signature
		"9997",                     // wrong merchant
		"9992",                     // method not activated
		"9994",                     // action disabled
		"9996",                     // no contract
		"100", "101", "110", "120": // older numbers of the same
		return payment.Misconfigured, CauseMisconfigured
	case "9403", "200", // validation
		"9993",           // URL missing
		"9995",           // test mode
		"10030", "11005", // amount
		"10031", "11004", "11021", // phone
		"11015", "11016", "11019", "11020", "11012", // operator limits
		"11022", "11023", "11011", "11024", // restricted
		"10018", // lifetime expired
		"700", "701", "711", "850":
		return payment.RefusedForGood, CauseRefused
	case "9991", // order id not unique
		"11013",          // repeated operation
		"10011", "10015": // already completed
		return payment.IsDuplicate, CauseDuplicate
	case "1000", "9999", "10000", "11000", "11014", "12000", "99999":
		return payment.InDoubt, CauseMayPass
	case "":
		return payment.InDoubt, CauseNoCode
	}
	return payment.InDoubt, CauseUnknownCode
}

// cleanCode returns an error code without blanks around it, or "" if it is no
// number of at most eight digits: an error that names no code is in doubt, and
// nothing else may travel in its place.
func cleanCode(s string) string {
	s = strings.Trim(s, " \t\r\n")
	if len(s) > 8 {
		return ""
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return ""
		}
	}
	return s
}
