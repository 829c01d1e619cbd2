// Package drivers tests package sqlstore with real databases: SQLite through
// modernc.org/sqlite, and PostgreSQL through pgx, on a server that the test
// starts for itself. It is a module of its own so that users of SPARK don't
// inherit the drivers.
package drivers
