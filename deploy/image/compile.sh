#!/bin/sh
# Compiles the programs of the images and packs them into the given folder. A stage of the Dockerfile.
set -eu
out=${1:?usage: compile.sh FOLDER}
cd "$(dirname "$0")/../.."
# A file that includes LibTorch takes 1.6 GB: more than three at once can exhaust memory.
jobs=$(nproc)
[ "$jobs" -le 3 ] || jobs=3
cmake --preset release
ninja -C build/release -j "$jobs" fedwatt-coordinator fedwatt-client fedwatt fedwatt-torch
deploy/image/pack-programs.sh build/release/bin "$out"
