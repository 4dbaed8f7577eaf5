#!/bin/sh
# What compiling needs, from deploy/packages.txt: no data, no analysis, nothing that only tests run.
# A stage of the Dockerfile.
set -eu
cd "$(dirname "$0")/../.."
apt-get update -q
sed -e 's/#.*//' deploy/packages.txt |
  grep -vE '^[[:space:]]*$|^(clang|libclang|python3-|dataset-|ccache|git$)' |
  DEBIAN_FRONTEND=noninteractive xargs apt-get install -y -q --no-install-recommends
