//go:build deps

package deps

import (
	_ "github.com/anthropics/anthropic-sdk-go"
	_ "github.com/dunglas/httpsfv"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/openai/openai-go/v3"
	_ "github.com/stretchr/testify/require"
	_ "github.com/tsenart/vegeta/v12/lib"
	_ "go.uber.org/goleak"
	_ "modernc.org/sqlite"
)
