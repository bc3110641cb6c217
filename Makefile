# paylink: everything one does here. "make help" lists it.
#
# Variables: RACE=-race|"" (default: -race where cgo has a C compiler), TESTFLAGS, KAFKA_HOME,
# KAFKA_BROKERS or KAFKA_IMAGE (integration, torture), DOCKER, CA_BUNDLE, PAYLINK_IMAGE,
# PAYLINK_DEV_IMAGE, ARGS (run, bench).

GO     ?= go
DOCKER ?= docker
ARGS   ?=

# The race detector wants cgo and a C compiler; where they are not, a line says so.
RACE    = $(shell [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v "$$($(GO) env CC | cut -d' ' -f1)" >/dev/null 2>&1 && echo -race)
no-race = $(if $(RACE),,@echo 'make $@: without the race detector')

PAYLINK_IMAGE     ?= paylink:dev
PAYLINK_DEV_IMAGE ?= paylink-dev:dev
# The certificates that a host-built image trusts.
CA_BUNDLE ?= $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))

# A real Kafka for integration and torture comes in one of three ways; the first that is there is used.
#   KAFKA_HOME=/opt/kafka_2.13-4.3.1  an unpacked Apache Kafka release, and Java 17: one broker or three are
#                                     started as processes, killed and suspended one by one.
#   KAFKA_BROKERS=host:port,...       a cluster that runs, for what needs no broker of its own; the faults that
#                                     kill brokers are skipped, by name, unless one of the other two is there.
#   ../shared/tools                   where that folder is: kafka-local for brokers to be killed, else Docker.
override export KAFKA_HOME := $(and $(KAFKA_HOME),$(abspath $(KAFKA_HOME)))
KAFKA_LOCAL ?= $(abspath $(wildcard ../shared/tools/kafka-local))

# How long make torture goes on, and with which tests: "." is all of the room in their long forms.
TORTURE       ?= 10m
TORTURE_TESTS ?= ^TestTorture$$

# The crash laboratory: how many seeds, one seed to replay, or how many minutes of fresh ones. The simulator of
# the deciding parts takes a hundred times as many.
SEEDS   ?= $(if $(filter sim,$(MAKECMDGOALS)),100000,1000)
SEED    ?=
MINUTES ?=
# Within how many seeds it has to find each deliberate mistake.
WITHIN  ?= 200

.PHONY: help run test check integration binaries image up smoke down bench torture lab sim mutants
.DEFAULT_GOAL := help

help: ## list all this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## the whole system on this machine: Kafka, gateway and service in one process, no Docker
	@$(GO) build -o bin/paylink-dev ./cmd/paylink-dev
	@exec bin/paylink-dev $(ARGS)

test: ## every test that needs Go alone
	$(no-race)
	$(GO) test $(RACE) -timeout 10m $(TESTFLAGS) ./...

check: ## the whole gate but the tests: format, vet, staticcheck, modules, generated files, Helm chart, known vulnerabilities
	@GO='$(GO)' sh deploy/check.sh

# Only tests behind the tag are run, by their names, one package after the other.
integration: ## the promises on a real Apache Kafka: KAFKA_HOME=folder of a release, or KAFKA_BROKERS=host:port, or Docker with KAFKA_IMAGE
	$(no-race)
	@files=$$(grep -rl --include='*_test.go' '^//go:build integration' cmd internal); \
	dirs=$$(for f in $$files; do echo "./$${f%/*}"; done | sort -u); \
	names=$$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*/\1/p' $$files | grep -vx TestMain | paste -s -d '|' -); \
	export KAFKA_LOCAL='$(KAFKA_LOCAL)'; set -x; \
	$(GO) test $(RACE) -tags integration -count=1 -p 1 -v -timeout 12m -run "^($$names)$$" $(TESTFLAGS) $$dirs

torture: ## hurts replicas, three brokers, gateway and networks for TORTURE=10m in one go: KAFKA_HOME=folder of a release, or KAFKA_BROKERS=host:port; TORTURE_SEED repeats a run's choices
	@[ -n '$(KAFKA_HOME)$(KAFKA_BROKERS)$(KAFKA_LOCAL)' ] || { echo 'make torture: no Kafka: name the folder of an unpacked release (KAFKA_HOME=...), or brokers that run (KAFKA_BROKERS=host:port,...)' >&2; exit 1; }
	KAFKA_LOCAL='$(KAFKA_LOCAL)' TORTURE='$(TORTURE)' $(GO) test -tags integration -count=1 -v -timeout 90m -run '$(TORTURE_TESTS)' $(TESTFLAGS) ./internal/torture

lab: ## hostile histories of the real service in virtual time: SEEDS=1000, or SEED=... replays one, or MINUTES=... of fresh ones
	@LAB_CLOCKS=1 LAB_SEEDS='$(SEEDS)' LAB_SEED='$(SEED)' LAB_MINUTES='$(MINUTES)' $(GO) test -count=1 -timeout $(if $(MINUTES),24h,30m) -run '^TestLab$$' $(if $(SEED)$(MINUTES),-v) $(TESTFLAGS) ./internal/lab

sim: ## histories of the deciding parts alone, one thread each, thousands a second: SEEDS=100000, or SEED=... replays one exactly
	@SIM_SEEDS='$(SEEDS)' SIM_SEED='$(SEED)' $(GO) test -count=1 -timeout 60m -v -run '^TestSim$$' $(TESTFLAGS) ./internal/pipeline

mutants: ## proves that both laboratories can fail: they have to find every deliberate mistake, within WITHIN=200 seeds and 10,000
	@SIM_MUTANTS=10000 $(GO) test -count=1 -timeout 30m -v -run '^TestSimMutants$$' $(TESTFLAGS) ./internal/pipeline
	@LAB_MUTANTS='$(WITHIN)' $(GO) test -count=1 -timeout 60m -v -run '^TestMutants' $(TESTFLAGS) ./internal/lab

binaries: ## both commands as static linux binaries, in bin/linux-<processor>/ (GOARCH chooses it)
	@dir=bin/linux-$$($(GO) env GOARCH); set -x; \
	CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -ldflags '-s -w' -o $$dir/ ./cmd/paylink ./cmd/paylink-dev

image: binaries ## both container images, from binaries built here; paylink:dev and paylink-dev:dev unless named
	@[ -n '$(CA_BUNDLE)' ] || { echo 'make image: no CA certificates found, name a PEM file: make image CA_BUNDLE=...' >&2; exit 1; }
	cp '$(CA_BUNDLE)' bin/ca-certificates.crt
	DOCKER_BUILDKIT=1 $(DOCKER) build -q -f deploy/Dockerfile --build-arg BINARIES=host --target paylink -t $(PAYLINK_IMAGE) .
	DOCKER_BUILDKIT=1 $(DOCKER) build -q -f deploy/Dockerfile --build-arg BINARIES=host --target paylink-dev -t $(PAYLINK_DEV_IMAGE) .
	@$(DOCKER) image inspect -f '{{index .RepoTags 0}} {{.Size}} bytes' $(PAYLINK_IMAGE) $(PAYLINK_DEV_IMAGE)

up: image ## Kafka, gateway simulator and service in containers; "docker compose --profile emit up emit" sends intents
	PAYLINK_IMAGE='$(PAYLINK_IMAGE)' PAYLINK_DEV_IMAGE='$(PAYLINK_DEV_IMAGE)' $(DOCKER) compose up -d --wait --no-build

smoke: image ## the containers carry a few intents to their payment links, and go
	@DOCKER='$(DOCKER)' PAYLINK_IMAGE='$(PAYLINK_IMAGE)' PAYLINK_DEV_IMAGE='$(PAYLINK_DEV_IMAGE)' sh deploy/smoke.sh

down: ## stop the containers and forget their data
	$(DOCKER) compose --profile emit down -v --remove-orphans

bench: ## outcomes per second and latency, beside the plainest loop: ARGS=... are paylink-dev bench's flags
	$(GO) run ./cmd/paylink-dev bench $(ARGS)
