package config

import "paylink/internal/pace"

// A Rate is how often a merchant may be called.
type Rate = pace.Rate
