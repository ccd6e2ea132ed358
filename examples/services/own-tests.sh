#!/bin/sh
# Runs tests of filters as `node --test` would in a project that has fourways installed.
folder=$(dirname "$(readlink "$0" || echo "$0")")
# Tests of this repository run it in a test of their own, which is another run.
unset NODE_TEST_CONTEXT
exec node --import "$folder/as-installed.ts" --test --test-reporter=spec "$@"
