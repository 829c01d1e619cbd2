//go:build deps

package sentrytrack

import (
	_ "github.com/getsentry/sentry-go"
	_ "github.com/stretchr/testify/require"
)
