//go:build deps

package drivers

import (
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)
