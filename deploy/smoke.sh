#!/bin/sh
# smoke.sh is "make smoke": the containers of docker-compose.yml, as a project of
# their own, carry intents to payment links; then all is removed. The images
# exist already. Its ports lie below those that systems hand out for outgoing
# connections: one of these may stand on any port above, and Docker then fails.
set -eu
DOCKER=${DOCKER:-docker}
export COMPOSE_PROJECT_NAME=paylink-smoke KAFKA_PORT=${KAFKA_PORT:-13092} GATEWAY_PORT=${GATEWAY_PORT:-13090} CONSOLE_PORT=${CONSOLE_PORT:-13080}

limit=
! command -v timeout >/dev/null 2>&1 || limit='timeout 180' # for each step: CI waits for nobody

compose() { $limit $DOCKER compose --profile emit --progress quiet "$@" </dev/null; }

# finish shows what happened when something failed, and removes everything.
finish() {
  status=$?
  trap - EXIT
  [ "$status" = 0 ] || compose logs --tail 40 topics gateway paylink || true
  compose down --volumes --remove-orphans --timeout 10
  exit "$status"
}

count=5
trap finish EXIT
trap 'exit 130' INT TERM
compose up --detach --wait --no-build paylink
compose run --rm --no-deps -T emit emit --count=$count --rate=0
links=$(compose run --rm --no-deps -T emit watch --from-beginning --json --count=$count | grep -c '"type":"payment-created"') || :
echo "make smoke: $links of $count intents have their payment link"
[ "$links" = $count ]
