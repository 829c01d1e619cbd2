// Command generate is a service that answers prompts through AI providers, with
// all packages of SPARK around it.
//
//	go run ./examples/generate
//
// It starts with a provider of its own that needs no account; see -help.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	switch err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then lets what is running end.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	cfg, err := parseConfig(args, getenv, stderr)
	if err != nil {
		return err
	}
	log := slog.New(idLogger{slog.NewJSONHandler(stderr, nil)})
	s, err := newServer(cfg, log)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.addr)
	if err != nil {
		return err
	}
	addr := cfg.addr
	if host, port, _ := net.SplitHostPort(addr); host == "" || port == "0" {
		addr = listener.Addr().String()
	}
	if err := s.greet(ctx, stdout, addr); err != nil {
		return errors.Join(err, listener.Close())
	}
	return s.serve(ctx, listener)
}

// greet prints what is needed to try the server out.
func (s *server) greet(ctx context.Context, w io.Writer, addr string) error {
	key := "$SPARK_KEY"
	_, _ = fmt.Fprintf(w, "Listening on http://%s with %s.\n", addr, strings.Join(s.cfg.providers, ","))
	if s.cfg.keysFile == "" && len(s.cfg.masterKeys) == 0 {
		var err error
		if key, err = s.issue(ctx); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(w, "API key, valid until the server stops: %s\n", key)
	}
	_, err := fmt.Fprintf(w, "\ncurl http://%s/api/spark/generate -H \"Authorization: Bearer %s\" -H 'Content-Type: application/json' -d '{\"prompt\":\"Hello, SPARK!\"}'\n", addr, key)
	return err
}

// serve answers requests on listener until ctx ends. Then it says that it is not
// ready, takes no more connections and lets the running answers end; those that
// have not after -shutdown-timeout are cut off, and know why.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	srv := &http.Server{
		Handler:           s.handler(),
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + writeTimeout, // answers extend it piece by piece: see giveTime
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	background, stop := context.WithCancel(base)
	var workers sync.WaitGroup
	for _, work := range []func(context.Context) error{s.cache.Run, s.auth.Run, s.errors.Run} {
		workers.Go(func() {
			if err := work(background); err != nil {
				s.log.LogAttrs(background, slog.LevelError, "worker stopped", slog.Any("error", err))
			}
		})
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	var err error
	select {
	case err = <-served: // it could not go on
	case <-ctx.Done():
		s.log.LogAttrs(base, slog.LevelInfo, "shutting down", slog.Any("cause", context.Cause(ctx)))
		s.health.Drain()
		defer time.AfterFunc(s.cfg.shutdownTimeout, func() { cut(errShutdown) }).Stop() // streams end then, by themselves
		patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.shutdownTimeout+5*time.Second)
		defer cancel()
		if err = srv.Shutdown(patient); errors.Is(err, context.DeadlineExceeded) {
			err = srv.Close()
		}
	}
	cut(errShutdown)
	stop()
	workers.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, s.errors.Flush(last))
}
