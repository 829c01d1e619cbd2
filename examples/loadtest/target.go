package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// builtIn are the prompts for whoever brings none.
var builtIn = []string{
	"Say hello in three languages.",
	"Explain in one paragraph what a circuit breaker is.",
	"Write a haiku about rate limits.",
	"Summarise: the quick brown fox jumps over the lazy dog.",
}

// maxWeight bounds how often one line of a mix may stand in the cycle.
const maxWeight = 1000

// newTargeter returns the requests of a run, in a cycle.
func newTargeter(o options) (vegeta.Targeter, error) {
	bodies, err := loadMix(o)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"spark-loadtest"}}
	if o.key != "" {
		header.Set("Authorization", "Bearer "+o.key)
	}
	if o.fresh {
		header.Set("Cache-Control", "no-store")
	}
	var next atomic.Uint64
	return func(t *vegeta.Target) error {
		t.Method, t.URL, t.Header = http.MethodPost, o.target, header
		t.Body = bodies[(next.Add(1)-1)%uint64(len(bodies))]
		return nil
	}, nil
}

// loadMix returns the request bodies, each as often as its weight says.
func loadMix(o options) ([][]byte, error) {
	if o.prompts == "" {
		var bodies [][]byte
		for _, prompt := range builtIn {
			body, err := withStream(map[string]any{"prompt": prompt}, o.stream)
			if err != nil {
				return nil, err
			}
			bodies = append(bodies, body)
		}
		return bodies, nil
	}
	file, err := os.Open(o.prompts)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var bodies [][]byte
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 8<<20)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		body, weight, err := mixLine(lines.Bytes(), o.stream)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", o.prompts, n, err)
		}
		for range weight {
			bodies = append(bodies, body)
		}
	}
	if len(bodies) == 0 && lines.Err() == nil {
		return nil, fmt.Errorf("%s holds no prompts", o.prompts)
	}
	return bodies, lines.Err()
}

func mixLine(line []byte, stream bool) (body []byte, weight int, err error) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, 0, err
	}
	weight = 1
	if v, ok := fields["weight"]; ok {
		f, _ := v.(float64)
		if weight = int(f); weight < 1 || weight > maxWeight {
			return nil, 0, fmt.Errorf("weight is %v, want 1 to %d", v, maxWeight)
		}
		delete(fields, "weight")
	}
	if prompt, ok := fields["prompt"].(string); !ok || prompt == "" {
		return nil, 0, errors.New(`want {"prompt": "…"}`)
	}
	body, err = withStream(fields, stream)
	return body, weight, err
}

func withStream(fields map[string]any, stream bool) ([]byte, error) {
	if stream {
		fields["stream"] = true
	}
	return json.Marshal(fields)
}
