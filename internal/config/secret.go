package config

import (
	"os"
	"strings"

	"paylink/internal/payment"
)

// maxSecret is more than any secret needs; a larger file is the wrong file.
const maxSecret = 64 << 10

// readSecret returns the secret that is given as a text or as a file, less one
// newline at its end. from names the setting; its file is from + "_FILE".
func readSecret(from string, text payment.Secret, file string) (payment.Secret, error) {
	if text != "" && file != "" {
		return "", problem(from, "is given twice, as a value and as a file; leave one out")
	}
	s := text.Reveal()
	if file != "" {
		info, err := os.Stat(file)
		if err != nil {
			return "", problem(from, "secret file: %v", err)
		}
		if info.Size() > maxSecret {
			return "", problem(from, "secret file %s holds %d bytes, which is no secret; name the right file", file, info.Size())
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return "", problem(from, "secret file: %v", err)
		}
		s = string(data)
	}
	s = strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
	if strings.TrimSpace(s) == "" {
		return "", problem(from, "the secret is empty; give it, or its file")
	}
	return payment.Secret(s), nil
}
