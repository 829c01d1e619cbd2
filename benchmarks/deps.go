//go:build deps

package deps

import (
	_ "github.com/didip/tollbooth/v7"
	_ "github.com/failsafe-go/failsafe-go/circuitbreaker"
	_ "github.com/go-chi/httprate"
	_ "github.com/hashicorp/golang-lru/v2/expirable"
	_ "github.com/maypok86/otter/v2"
	_ "github.com/sethvargo/go-limiter/httplimit"
	_ "github.com/sethvargo/go-limiter/memorystore"
	_ "github.com/slok/go-http-metrics/metrics/prometheus"
	_ "github.com/slok/go-http-metrics/middleware/std"
	_ "github.com/throttled/throttled/v2/store/memstore"
	_ "github.com/ulule/limiter/v3/drivers/middleware/stdlib"
	_ "github.com/ulule/limiter/v3/drivers/store/memory"
	_ "github.com/unrolled/secure"
	_ "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)
