package contract

// flagText is a flag as the gateway is told it.
func flagText(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
