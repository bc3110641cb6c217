package contract

// FlagText is a flag as the gateway is told it.
func FlagText(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
