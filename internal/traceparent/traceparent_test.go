package traceparent_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/internal/traceparent"
)

func TestOf(t *testing.T) {
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	tests := []struct {
		name    string
		values  []string
		trace   string
		sampled bool
	}{
		{"recorded", []string{"00-" + trace + "-" + parent + "-01"}, trace, true},
		{"not recorded", []string{"00-" + trace + "-" + parent + "-00"}, trace, false},
		{"other flags", []string{"00-" + trace + "-" + parent + "-0a"}, trace, false},
		{"later version with more", []string{"cc-" + trace + "-" + parent + "-01-what"}, trace, true},
		{"later version, run on", []string{"cc-" + trace + "-" + parent + "-01what"}, "", false},
		{"version 00 with more", []string{"00-" + trace + "-" + parent + "-01-what"}, "", false},
		{"version ff", []string{"ff-" + trace + "-" + parent + "-01"}, "", false},
		{"upper case", []string{"00-0AF7651916CD43DD8448EB211C80319C-" + parent + "-01"}, "", false},
		{"zero trace", []string{"00-00000000000000000000000000000000-" + parent + "-01"}, "", false},
		{"zero parent", []string{"00-" + trace + "-0000000000000000-01"}, "", false},
		{"two", []string{"00-" + trace + "-" + parent + "-01", "00-" + trace + "-" + parent + "-01"}, "", false},
		{"short", []string{"00-" + trace}, "", false},
		{"none", nil, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			gotTrace, gotParent, sampled := traceparent.Of(http.Header{"Traceparent": tt.values})
			require.Equal(t, tt.trace, gotTrace)
			require.Equal(t, tt.trace != "", gotParent == parent)
			require.Equal(t, tt.sampled, sampled)
		})
	}
}
