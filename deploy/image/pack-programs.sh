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

package_of() { # a library's path; dpkg may know it by /usr/lib or by /lib, which are one folder
  { dpkg-query -S "$(readlink -f "$1")" || dpkg-query -S "$1"; } 2>/dev/null | sed 's/:.*//'
}

# Of the libraries that the programs name themselves: what these need in turn apt knows.
packages() {
  local program name path
  for program in "$@"; do
    while read -r name path; do
      package_of "$path" || {
        echo "pack-programs: $program needs $path, which is of no Debian package" >&2
        return 1
      }
    done < <(ldd "$bin/$program" | awk '$2 == "=>" { print $1, $3 }' |
      grep -wFf <(readelf -d "$bin/$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'))
  done
}

rm -rf "$out"
mkdir -p "$out/bin"
packages fedwatt-coordinator fedwatt | sort -u >"$out/coordinator.packages"
packages fedwatt-client fedwatt-torch fedwatt | sort -u >"$out/client.packages"
for program in fedwatt-coordinator fedwatt-client fedwatt-torch fedwatt; do
  strip -o "$out/bin/$program" "$bin/$program"
done
