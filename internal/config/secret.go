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
	if file == "" {
		return checkSecret(from, text.Reveal())
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", problem(from, "secret file: %v", err)
	}
	if info.Size() > maxSecret {
		return "", problem(from, "secret file %s holds %d bytes, which is no secret; name the right file", file, info.Size())
	}
	data, err := readMarked(file, maxSecret)
	if err != nil {
		return "", problem(from, "secret file: %v", err)
	}
	return checkSecret(from, string(data))
}

// ReadSecretFile returns the secret that a file holds, just as a setting's.
func ReadSecretFile(from, file string) (payment.Secret, error) { return readSecret(from, "", file) }

// checkSecret cleans a secret of what editors and shells leave around it. A
// carriage return within is left by neither, and by no gateway's key.
func checkSecret(from, s string) (payment.Secret, error) {
	s = strings.TrimPrefix(s, markUTF8)
	s = strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
	if strings.TrimSpace(s) == "" {
		return "", problem(from, "the secret is empty; give it, or its file")
	}
	if strings.HasPrefix(s, "-----BEGIN ") {
		return "", problem(from, "the secret is a certificate or key in PEM; name the right file")
	}
	if strings.ContainsAny(s, "\r\x00") {
		return "", problem(from, "the secret holds a carriage return or a zero byte; give it in one line")
	}
	return payment.Secret(s), nil
}
