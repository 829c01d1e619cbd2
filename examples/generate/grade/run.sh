#!/usr/bin/env bash
# Builds and starts the server, and has MDN's HTTP Observatory and Google's
# csp_evaluator grade the headers of its responses. Needs Go, node, npm and openssl.
set -euo pipefail
cd "$(dirname "$0")"

tmp=$(mktemp -d)
server=
finish() {
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" || true
	fi
	rm -rf "$tmp"
}
trap finish EXIT

# Away from the module, which would take the Go files that npm packages may hold for its own.
cp package.json package-lock.json grade.mjs "$tmp"
(cd "$tmp" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)

go build -o "$tmp/generate" ..
"$tmp/generate" -addr 127.0.0.1:0 -providers local -trusted-proxies 127.0.0.1/32,::1/128 >"$tmp/out" 2>"$tmp/err" &
server=$!
for _ in {1..100}; do
	base=$(sed -n 's|^Listening on \(http://[^ ]*\).*|\1|p' "$tmp/out")
	[ -z "$base" ] || break
	kill -0 "$server" 2>/dev/null || break
	sleep 0.1
done
[ -n "$base" ] || { echo "the server did not start:"; cat "$tmp/err"; exit 1; }

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
	-addext subjectAltName=DNS:localhost -keyout "$tmp/key.pem" -out "$tmp/cert.pem" 2>/dev/null
NODE_EXTRA_CA_CERTS=$tmp/cert.pem node "$tmp/grade.mjs" "$base" "$tmp/key.pem" "$tmp/cert.pem" \
	"GET /" "GET /api/spark/health" "POST /api/spark/generate" "GET /livez"
