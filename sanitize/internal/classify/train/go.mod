module github.com/sparkhttp/spark/sanitize/internal/classify/train

go 1.26.0

require (
	github.com/sparkhttp/spark v0.1.0
	github.com/stretchr/testify v1.12.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/sparkhttp/spark => ../../../..
