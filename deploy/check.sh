#!/bin/sh
# check.sh is "make check": everything that can be said about the code without
# running it. It goes on after a failure, so that one run tells all.
set -u
GO=${GO:-go}
status=0

# step NAME COMMAND...: runs a command and remembers that it failed. Exit code 75
# says that it could not be done here.
step() {
  name=$1
  shift
  "$@"
  case $? in
    0) echo "check: $name: ok" ;;
    75) echo "check: $name: SKIP" ;;
    *) echo "check: $name: FAILED"; status=1 ;;
  esac
}

sources() {
  for dir in cmd internal schemas deploy; do [ ! -d "$dir" ] || find "$dir" -type f "$@"; done
}

formatted() {
  bad=$(gofmt -l $(sources -name '*.go' ! -path '*/testdata/*')) || return 1
  [ -z "$bad" ] || { printf 'gofmt -w %s\n' $bad >&2; return 1; }
}

vetted() { "$GO" vet ./... && "$GO" vet -tags integration ./...; }

tidy() { "$GO" mod tidy -diff && "$GO" mod verify >/dev/null; }

# What judges and packs stands in a module of its own: paylink depends on none of it.
deployment() {
  "$GO" -C deploy mod tidy -diff && "$GO" -C deploy vet ./... &&
    "$GO" -C deploy tool staticcheck ./... &&
    "$GO" -C deploy test -count=1 ./... # the cache does not see files outside of their module
}

# fingerprint tells whether generating changes anything, with or without git.
fingerprint() { sources | sort | while read -r file; do cksum "$file"; done; }

generated() {
  before=$(fingerprint)
  "$GO" generate ./... && "$GO" -C deploy run ./licences || return 1
  [ "$before" = "$(fingerprint)" ] || { echo 'go generate, or make licences, changed files; commit what it wrote' >&2; return 1; }
}

# govulncheck fetches what it knows; exit code 3 means that it found something.
vulnerabilities() {
  limit=
  ! command -v timeout >/dev/null 2>&1 || limit='timeout 180'
  out=$($limit "$GO" tool govulncheck ./... 2>&1)
  code=$?
  case $code:$out in
    0:*) return 0 ;;
    124:*) echo 'no answer from the vulnerability database within three minutes'; return 75 ;;
    *'fetching vulnerabilities'*) echo 'the vulnerability database cannot be reached from here'; return 75 ;;
    *) printf '%s\n' "$out" >&2; return 1 ;;
  esac
}

step gofmt formatted
step vet vetted
step staticcheck "$GO" tool staticcheck -tags integration ./...
step modules tidy
step generated generated
step deploy deployment
step govulncheck vulnerabilities
exit $status
