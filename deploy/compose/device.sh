#!/bin/sh
# A device of docker-compose.yml: `device.sh high`, of the class high, mid or low; `device.sh health`
# is its health check.
#
# Containers of one service are all alike, so each takes the first identity of its class that no
# other holds, and with it a certificate, a share of the data, and a state folder. The lock lives as
# long as the process: whoever comes after a killed container goes on where that one was.
set -eu
held=/tmp/identity # in this container

take_identity() { # class
  i=0
  while [ "$i" -lt "$FEDWATT_DEVICES_PER_CLASS" ]; do
    mkdir -p "$1-$i"
    exec 9>"$1-$i/container.lock"
    if flock --nonblock 9; then
      echo "$1-$i" >"$held"
      return
    fi
    i=$((i + 1))
  done
  echo "device: all $FEDWATT_DEVICES_PER_CLASS identities of class $1 are taken; set" \
    "FEDWATT_DEVICES_PER_CLASS higher (and FEDWATT_EXAMPLES lower), after" \
    "docker-compose down --volumes" >&2
  exit 5
}

case $1 in
  health) exec fedwatt health --as "$(cat "$held")" ;;
  high) first=0 ;;
  mid) first=$FEDWATT_DEVICES_PER_CLASS ;;
  low) first=$((2 * FEDWATT_DEVICES_PER_CLASS)) ;;
  *)
    echo "device: class '$1' is not high, mid or low" >&2
    exit 2
    ;;
esac
take_identity "$1"
id=$(cat "$held")
echo "device: this is $id"
data=/usr/share/datasets/fashion-mnist
share="clients=$((3 * FEDWATT_DEVICES_PER_CLASS))&client=$((first + i))&examples=$FEDWATT_EXAMPLES"
exec fedwatt-client --as "$id" --trusted-key "$FEDWATT_TLS_DIR/owner.pub" --state-dir "$id" \
  --device-class "$1" --label "class=$1" \
  --dataset "fashion-mnist=idx:$data?partition=dirichlet&alpha=$FEDWATT_ALPHA&$share"
