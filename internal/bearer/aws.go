package bearer

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-msk-iam-sasl-signer-go/signer"

	"paylink/internal/payment"
)

// FromAWS is a Source of tokens for Amazon MSK in a region: requests signed with
// the credentials that AWS's standard chain finds, by the variables, files and
// addresses that AWS documents.
func FromAWS(region string) *Source {
	return &Source{keeps: true, get: func(ctx context.Context) (Token, error) {
		token, expiry, err := signer.GenerateAuthToken(ctx, region)
		if err != nil {
			return Token{}, failed("AWS gives no credentials: %s", firstLine(err.Error()))
		}
		return Token{Value: payment.Secret(token), Expiry: time.UnixMilli(expiry)}, nil
	}}
}

// firstLine shortens what AWS's library says, which holds no secrets.
func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return text[:min(len(text), 300)]
}
