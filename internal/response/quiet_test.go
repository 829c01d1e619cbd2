package response_test

import (
	"io"
	"log"
)

// quiet keeps what net/http says of panics out of the test's output.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
