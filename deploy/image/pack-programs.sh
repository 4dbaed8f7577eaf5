#!/usr/bin/env bash
# Packs compiled programs for the images:
#
#   pack-programs.sh BIN OUT
#
# OUT/bin                   the programs, stripped
# OUT/coordinator.packages  Debian packages of the libraries that they are linked with, one a line
# OUT/client.packages
#
# To be run where they were compiled, on the Debian release of the images.
set -euo pipefail
bin=${1:?usage: pack-programs.sh BIN OUT}
out=${2:?usage: pack-programs.sh BIN OUT}
programs=(fedwatt-coordinator fedwatt-client fedwatt-torch fedwatt)

die() { echo "pack-programs: $1" >&2; exit 1; }

# Paths of the libraries that a program names itself: what these need in turn apt knows.
libraries() {
  ldd "$bin/$1" | awk '$2 == "=>" { print $1, $3 }' |
    grep -wFf <(readelf -d "$bin/$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p') | cut -d ' ' -f 2
}

packages() { # programs
  local program path line
  local -a paths=()
  for program in "$@"; do
    mapfile -t -O "${#paths[@]}" paths < <(libraries "$program")
  done
  # One question for all, for dpkg takes long to answer any. It may know a library by /usr/lib or by
  # /lib, which are one folder; of two names one is not found.
  local -A package=()
  while read -r line; do # "libssl3:amd64: /usr/lib/x86_64-linux-gnu/libssl.so.3"
    package[${line##*: }]=${line%%:*}
  done < <(dpkg-query -S "${paths[@]}" $(readlink -f "${paths[@]}") 2>/dev/null)
  for path in "${paths[@]}"; do
    line=${package[$path]:-${package[$(readlink -f "$path")]:-}}
    [ -n "$line" ] || die "$path, which $* need, is of no Debian package"
    echo "$line"
  done
}

for program in "${programs[@]}"; do
  [ -x "$bin/$program" ] || die "there is no $bin/$program; \`./dev build ${programs[*]}\` makes it"
done
rm -rf "$out"
mkdir -p "$out/bin"
packages fedwatt-coordinator fedwatt | sort -u >"$out/coordinator.packages"
packages fedwatt-client fedwatt-torch fedwatt | sort -u >"$out/client.packages"
for program in "${programs[@]}"; do
  strip -o "$out/bin/$program" "$bin/$program"
done
