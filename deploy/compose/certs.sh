#!/bin/sh
# The first step of docker-compose.yml: an authority with certificates for a coordinator, an
# operator, an evaluator and FEDWATT_DEVICES_PER_CLASS devices of each class. Each party finds what is
# its own in a volume; the authority's key stays in one that nobody else mounts. Does nothing where
# all are there.
set -eu
cd /certs
count=$FEDWATT_DEVICES_PER_CLASS

[ -f authority/ca.pem ] || fedwatt certs init --dir authority --host coordinator
[ -f authority/evaluator.pem ] ||
  fedwatt certs issue --dir authority --role evaluator --id evaluator --days 365
for class in high mid low; do
  [ -f "authority/$class-0.pem" ] ||
    fedwatt certs issue --dir authority --id "$class" --count "$count" --days 365
  [ -f "authority/$class-$((count - 1)).pem" ] || {
    echo "certs: there are certificates for fewer than $count devices of class $class;" \
      "docker-compose down --volumes, then up, makes all anew" >&2
    exit 1
  }
done

copy() { # folder, files of the authority's
  folder=$1
  shift
  for file in "$@"; do
    cp -p "authority/$file" "$folder/"
  done
}
copy coordinator ca.pem coordinator.pem coordinator.key
copy operator ca.pem operator.pem operator.key owner.key owner.pub
copy devices ca.pem owner.pub evaluator.pem evaluator.key
for class in high mid low; do
  i=0
  while [ "$i" -lt "$count" ]; do
    copy devices "$class-$i.pem" "$class-$i.key"
    i=$((i + 1))
  done
done
echo "certs: an authority, a coordinator, an operator, an evaluator and $count devices of each class"
