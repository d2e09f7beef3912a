# The one door: each command that a person runs is the one that CI runs. `make` lists them.
SHELL := /bin/bash
export SHALE_STARTED := $(shell date +%s)
# Programs that the installation brought (Go, Node.js) come first.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
.DEFAULT_GOAL := help
.PHONY: help install engine demo test check keys bench mutate format stop clean

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | awk -F'\t' '{printf "make %-9s %s\n", $$1, $$2}'

install: ## Set up everything that Shale needs; the command is then .venv/bin/shale
	@scripts/install.sh

engine: install ## Start a Docker Engine where none answers, and build the base image
	@scripts/docker.sh ensure
	@scripts/docker.sh run scripts/base-image.sh

demo: install ## The whole lease once, on real parts, shown as it happens; leaves nothing running
	@scripts/demo.sh

test: engine ## All tests: Python, Go, Solidity
	@scripts/docker.sh run scripts/test.sh

check: install ## Form: ruff, mypy, layers, gofmt, go vet, forge fmt, shellcheck, slither
	@scripts/check.sh

keys: install ## Make the development keys of all sizes anew, and see that they are the committed ones
	@scripts/keys.sh anew

bench: engine ## Measure; make bench PART=cli|datasets|tunnel|ledger|containers for one part
	@scripts/docker.sh run scripts/bench.sh $(PART)

mutate: install ## Change the contracts in small places and see that the tests notice: SAMPLE=160 of them, 0 for all (hours)
	@scripts/mutate.mjs --sample $(or $(SAMPLE),160)

format: install ## Put the sources into the house's form
	@.venv/bin/ruff check --quiet --fix; .venv/bin/ruff format --quiet
	@gofmt -w kernel
	@node_modules/.bin/forge fmt

stop: ## Stop the Docker Engine, if it was started here
	@scripts/docker.sh stop

clean: ## Remove what was built here; the caches of images and keys in ~/.cache/shale stay
	@rm -rf .venv .tools build node_modules dist contracts/out contracts/cache src/shale/bin src/shale/chain/artifacts
