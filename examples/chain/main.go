// Command chain shows the least that a service needs to stand behind SPARK.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/headers"
	"github.com/sparkhttp/spark/ratelimit"
	"github.com/sparkhttp/spark/sanitize"
)

func main() {
	keys := auth.NewMemory() // or auth.OpenFile, or package sqlstore
	gate := must(auth.New(auth.Config{Store: keys}))
	limits := must(ratelimit.New(ratelimit.Config{
		Policies: []ratelimit.Policy{{Name: "requests", Limit: 60, Window: time.Minute}},
		Key:      func(r *http.Request) string { id, _ := auth.FromContext(r.Context()); return id.User },
	}))
	prompts := must(sanitize.NewGuard(sanitize.GuardConfig{Fields: []string{"/prompt"}}))
	secure := must(headers.New(headers.Config{}))

	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello\n") })
	mux := http.NewServeMux()
	mux.Handle("POST /v1/answer", gate.Handler(limits.Handler(prompts.Handler(answer))))

	manager := must(auth.NewManager(auth.ManagerConfig{Store: keys}))
	key, _, err := manager.Create(context.Background(), auth.KeyInfo{Owner: "me"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("curl localhost:8080/v1/answer -H 'Authorization: Bearer %s' --json '{\"prompt\":\"hi\"}'\n", key.Reveal())
	server := &http.Server{Addr: "localhost:8080", Handler: secure.Handler(mux), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
