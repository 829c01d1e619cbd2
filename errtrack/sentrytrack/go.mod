module github.com/sparkhttp/spark/errtrack/sentrytrack

go 1.26.0

require (
	github.com/getsentry/sentry-go v0.50.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/sparkhttp/spark v0.1.0
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/sparkhttp/spark => ../..
