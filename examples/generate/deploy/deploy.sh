#!/usr/bin/env bash
# Puts the generate server onto Kubernetes, tries it out, and takes it back.
#
#	deploy.sh login              write $KUBECONFIG for a job of GitHub Actions
#	deploy.sh revision           print the revision that runs, 0 if there is none
#	deploy.sh apply IMAGE        run IMAGE (name@sha256:…) and wait until it is ready
#	deploy.sh smoke URL          send real requests, and fail if they do
#	deploy.sh rollback REVISION  run what ran before, unless it still does
#
# login needs KUBE_SERVER, KUBE_CA (base64), KUBE_NAMESPACE and KUBE_AUDIENCE; a
# person uses a kubeconfig of their own instead. smoke reads its API key from the
# secret generate-smoke. It needs kubectl, curl, jq, and Go or a built $LOADTEST.
set -euo pipefail
self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
here=$(dirname "$self")

fail() {
	echo "deploy.sh: $*" >&2
	exit 1
}

# login names no secret: kubectl calls token whenever it needs one, since one
# lives for minutes only.
login() {
	umask 077
	jq -n --arg server "$KUBE_SERVER" --arg ca "$KUBE_CA" --arg namespace "$KUBE_NAMESPACE" --arg self "$self" '{
		apiVersion: "v1", kind: "Config", "current-context": "deploy",
		clusters: [{name: "deploy", cluster: {server: $server, "certificate-authority-data": $ca}}],
		contexts: [{name: "deploy", context: {cluster: "deploy", user: "github", namespace: $namespace}}],
		users: [{name: "github", user: {exec: {
			apiVersion: "client.authentication.k8s.io/v1", command: $self, args: ["token"], interactiveMode: "Never"}}}]
	}' >"$KUBECONFIG"
}

# token asks GitHub for a token that says which workflow this is.
token() {
	curl -fsS --retry 3 --max-time 20 -H @- "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$KUBE_AUDIENCE" \
		<<<"Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" |
		jq '{apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential",
			status: {token: .value, expirationTimestamp: (now + 240 | floor | todate)}}'
}

revision() {
	local now
	now=$(kubectl get deployment generate --ignore-not-found \
		-o 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}')
	echo "${now:-0}"
}

ready() { kubectl rollout status deployment/generate --timeout=5m; }

apply() {
	local image=$1
	[[ $image =~ ^[a-z0-9./:_-]+@sha256:[0-9a-f]{64}$ ]] || fail "$image is not pinned: want name@sha256:…"
	sed "s|image: IMAGE\$|image: $image|" "$here/kubernetes.yaml" | kubectl apply -f -
	ready
}

smoke() {
	local url=${1%/} host key status
	[[ $url =~ ^https?://([^/:]+)(:[0-9]+)?$ ]] || fail "$url is not a URL without a path"
	host=${BASH_REMATCH[1]}
	curl -fsS --retry 5 --retry-all-errors --max-time 10 "$url/readyz"
	echo
	status=$(curl -sS --max-time 10 -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' \
		-d '{"prompt":"smoke"}' "$url/api/spark/generate")
	[ "$status" = 401 ] || fail "without a key, want 401, got $status"
	key=$(kubectl get secret generate-smoke -o 'jsonpath={.data.key}' | base64 -d)
	[ -n "$key" ] || fail "the secret generate-smoke has no key"
	cd "$here/../../.."
	# One request in two seconds: it is paid for, and the default limit is 60 a minute.
	SPARK_KEY=$key ${LOADTEST:-go run ./examples/loadtest} -target "$url/api/spark/generate" -allow-host "$host" \
		-rate 0.5 -duration "${SMOKE_DURATION:-20s}" -timeout 60s -max-error-rate 0 -max-limited-rate 0 -max-p95 "${SMOKE_MAX_P95:-30s}" smoke
}

rollback() {
	local to=$1 now
	[[ $to =~ ^[0-9]+$ ]] || fail "rollback needs the revision to go back to"
	now=$(revision)
	[ "$now" != "$to" ] || {
		echo "revision $to still runs: nothing to take back"
		return
	}
	[ "$to" != 0 ] || fail "there is no revision before the first one"
	kubectl rollout undo deployment/generate --to-revision="$to"
	ready
}

case ${1:-} in
login | token | revision) [ $# = 1 ] || fail "$1 takes no argument" ;;
apply | smoke | rollback) [ $# = 2 ] || fail "$1 takes one argument" ;;
*) fail "want login, revision, apply, smoke or rollback" ;;
esac
"$@"
