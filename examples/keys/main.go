// Command keys issues, lists, rotates and revokes API keys, in a file or in a
// database.
//
//	go run ./examples/keys -file keys.json create -owner ada -scopes generate,export
//	go run ./examples/keys -file keys.json list
//	go run ./examples/keys -file keys.json rotate -overlap 24h 4fGx0aT9QkLm
//	go run ./examples/keys -postgres "$DATABASE_URL" -json revoke 4fGx0aT9QkLm
//
// A key is shown once, when it is created or rotated. A server that reads the
// same store takes notice: of a file within a second, of a database when its
// cache forgets.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/sparkhttp/spark/auth"
)

const usage = `Usage: keys [flags] command [flags of the command] [id]

Commands:
  create  issue a key, and show it this once
  list    list the keys, never their secrets
  rotate  replace the secret of a key, and show the new key this once
  revoke  end a key for good

"keys command -help" explains a command. The peppers of the hashes are read
from SPARK_PEPPERS, a list of version:base64 with the current one first; they
must be those of the server.

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is what one call is about.
type command struct {
	manager *auth.Manager
	args    []string
	out     io.Writer
	errs    io.Writer
	json    bool
}

// errUsage says that what is wrong with the call has been said already.
var errUsage = errors.New("usage")

// run returns the exit code: 0, 1 if it failed, 2 if it was called in a wrong
// way.
func run(ctx context.Context, args []string, getenv func(string) string, out, errs io.Writer) int {
	err := dispatch(ctx, args, getenv, out, errs)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	default:
		_, _ = fmt.Fprintln(errs, "keys:", err)
		return 1
	}
}

func dispatch(ctx context.Context, args []string, getenv func(string) string, out, errs io.Writer) (err error) {
	flags := flag.NewFlagSet("keys", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		_, _ = io.WriteString(errs, usage)
		flags.PrintDefaults()
	}
	var where place
	flags.StringVar(&where.file, "file", "", "JSON `path` that holds the keys; create makes it")
	flags.StringVar(&where.sqlite, "sqlite", "", "SQLite database `path` that holds the keys")
	flags.StringVar(&where.postgres, "postgres", "", "PostgreSQL `URL` of the database that holds the keys")
	prefix := flags.String("prefix", auth.DefaultPrefix, "what new keys begin with")
	asJSON := flags.Bool("json", false, "write JSON instead of tables")
	if err := parse(flags, hoist(flags, args)); err != nil {
		return err
	}
	commands := map[string]func(*command, context.Context) error{
		"create": (*command).create, "list": (*command).list, "rotate": (*command).rotate, "revoke": (*command).revoke,
	}
	do := commands[flags.Arg(0)]
	if do == nil {
		return misused(flags, "want a command: create, list, rotate or revoke")
	}
	if err := where.check(); err != nil {
		return misused(flags, err.Error())
	}
	peppers, err := auth.ParsePeppers(getenv("SPARK_PEPPERS"))
	if err != nil {
		return fmt.Errorf("SPARK_PEPPERS: %w", err)
	}
	c := &command{args: flags.Args()[1:], out: out, errs: errs, json: *asJSON}
	store, done, err := where.open(ctx, flags.Arg(0) == "create")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	c.manager, err = auth.NewManager(auth.ManagerConfig{Store: store, Prefix: *prefix, Peppers: peppers})
	if err != nil {
		return err
	}
	return do(c, ctx)
}

// hoist moves the flags of the program before the command, so that they may stand
// anywhere: "keys list -json" is what many would type.
func hoist(flags *flag.FlagSet, args []string) []string {
	var ours, others []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			others = append(others, args[i:]...)
			break
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		f := flags.Lookup(name)
		if f == nil || !strings.HasPrefix(args[i], "-") {
			others = append(others, args[i])
			continue
		}
		ours = append(ours, args[i])
		if _, alone := f.Value.(interface{ IsBoolFlag() bool }); !alone && !hasValue && i+1 < len(args) {
			i++
			ours = append(ours, args[i])
		}
	}
	return append(ours, others...)
}

// parse reads flags; what is wrong with them the flag set says itself.
func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return errUsage
	}
	return err
}

func misused(flags *flag.FlagSet, text string) error {
	_, _ = fmt.Fprintf(flags.Output(), "keys: %s\n\n", text)
	flags.Usage()
	return errUsage
}

// flags returns the flag set of a command.
func (c *command) flags(name, arg string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(c.errs)
	flags.Usage = func() {
		_, _ = fmt.Fprintf(c.errs, "Usage: keys [flags] %s\n", strings.TrimSpace(name+" [flags] "+arg))
		flags.PrintDefaults()
	}
	return flags
}

// id reads flags and the one argument after them.
func (c *command) id(flags *flag.FlagSet) (string, error) {
	if err := parse(flags, c.args); err != nil {
		return "", err
	}
	if flags.NArg() != 1 || !auth.ValidID(flags.Arg(0)) {
		return "", misused(flags, "want one id of a key, as list shows it")
	}
	return flags.Arg(0), nil
}

func (c *command) create(ctx context.Context) error {
	flags := c.flags("create", "")
	info := auth.KeyInfo{Metadata: make(map[string]string)}
	flags.StringVar(&info.Owner, "owner", "", "user or service that the key acts for (required)")
	flags.StringVar(&info.Name, "name", "", "what the owner calls the key")
	flags.StringVar(&info.Plan, "plan", "", "what the owner has booked")
	flags.Func("scopes", "what the key may be used for, separated by `commas`", func(s string) error {
		info.Scopes = append(info.Scopes, strings.Split(s, ",")...)
		return nil
	})
	flags.Func("meta", "a `name=value` to keep with the key; may be repeated", func(s string) error {
		name, value, found := strings.Cut(s, "=")
		if !found {
			return errors.New("want name=value")
		}
		info.Metadata[name] = value
		return nil
	})
	ttl := flags.Duration("ttl", 0, "time until the key expires; 0 means never")
	if err := parse(flags, c.args); err != nil {
		return err
	}
	if info.Owner == "" || flags.NArg() > 0 || *ttl < 0 {
		return misused(flags, "want an -owner, a -ttl of at least 0 and nothing after the flags")
	}
	if *ttl > 0 {
		info.Expires = time.Now().Add(*ttl)
	}
	key, info, err := c.manager.Create(ctx, info)
	if err != nil {
		return err
	}
	return c.issued(key, info)
}

func (c *command) list(ctx context.Context) error {
	flags := c.flags("list", "")
	owner := flags.String("owner", "", "list only the keys of this owner")
	if err := parse(flags, c.args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return misused(flags, "want nothing after the flags")
	}
	infos := []auth.KeyInfo{}
	for info, err := range c.manager.List(ctx) {
		if err != nil {
			return err
		}
		if *owner == "" || info.Owner == *owner {
			infos = append(infos, info)
		}
	}
	return c.show(infos)
}

func (c *command) rotate(ctx context.Context) error {
	flags := c.flags("rotate", "id")
	overlap := flags.Duration("overlap", 24*time.Hour, "time for which the key from before stays good")
	id, err := c.id(flags)
	if err != nil {
		return err
	}
	key, info, err := c.manager.Rotate(ctx, id, *overlap)
	if err != nil {
		return err
	}
	return c.issued(key, info)
}

func (c *command) revoke(ctx context.Context) error {
	id, err := c.id(c.flags("revoke", "id"))
	if err != nil {
		return err
	}
	info, err := c.manager.Revoke(ctx, id)
	if err != nil {
		return err
	}
	return c.show([]auth.KeyInfo{info})
}
