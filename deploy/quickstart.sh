#!/usr/bin/env bash
# A coordinator and a fleet of clients on this machine, over mutual TLS, training on real data.
# Started by `./dev quickstart`, which builds the programs first.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${FEDWATT_BIN:-$root/build/release/bin}
data=/usr/share/datasets/fashion-mnist

rounds=10 clients=8 goal=0 port=0 json=0 dir=$root/build/quickstart examples=600 alpha=0.5 seed=1
sets=()
usage() {
  cat <<EOF
Usage: ./dev quickstart [options]

Trains McMahan's CNN (1.66 M parameters) on Fashion-MNIST with a coordinator and clients on this
machine, over mutual TLS on loopback.

  --rounds N      rounds (default $rounds)
  --clients N     client processes, 1 to 128 (default $clients)
  --goal N        of them in each round (default 0: all)
  --port P        the coordinator's port (default: a free one)
  --examples N    of each client (default $examples)
  --alpha A       Dirichlet concentration of the labels; smaller is more skewed (default $alpha)
  --seed N        of the first model, the partition and the job (default $seed)
  --set KEY=VALUE any key of the job file (docs/job-file.md), e.g. codec.up=raw_f32; repeatable
  --dir DIR       where certificates, logs and results go (default build/quickstart)
  --json          prints the report as JSON on standard output, and nothing else
  -h, --help      this text

Exit codes: 0 trained; 1 the job or one of the programs failed; 2 wrong flags; 130 interrupted.
Example: ./dev quickstart --rounds 3 --clients 4
EOF
}

die() { echo "quickstart: $1" >&2; exit "${2:-1}"; }
say() { [ "$json" = 1 ] || echo "$*"; }

number() { # option min max; "08" becomes 8, which bash would read as octal
  [[ "${!1}" =~ ^0*([0-9]{1,9})$ ]] && [ "${BASH_REMATCH[1]}" -ge "$2" ] &&
    [ "${BASH_REMATCH[1]}" -le "$3" ] || die "--$1 ${!1}: expected a whole number from $2 to $3" 2
  declare -g "$1=${BASH_REMATCH[1]}"
}

check_only=0
while [ $# -gt 0 ]; do
  case $1 in
    --set)
      [[ $# -ge 2 && "$2" == *=* ]] || die "--set needs KEY=VALUE; see --help" 2
      sets+=(--set "$2")
      shift 2
      ;;
    --rounds | --clients | --goal | --port | --examples | --alpha | --seed | --dir)
      [ $# -ge 2 ] || die "$1 needs a value; see --help" 2
      declare "${1#--}=$2"
      shift 2
      ;;
    --json) json=1; shift ;;
    --check-flags) check_only=1; shift ;; # for ./dev: says what is wrong before a long build
    -h | --help) usage; exit 0 ;;
    *) die "unknown option $1; see --help" 2 ;;
  esac
done
number rounds 1 1000
number clients 1 128
number goal 0 "$clients"
number seed 0 999999999
number port 0 65535
number examples 1 60000
[[ "$alpha" =~ ^[0-9]*\.?[0-9]+$ && "$alpha" =~ [1-9] ]] ||
  die "--alpha $alpha: expected a number above 0" 2
[[ -n "$dir" && "$dir" != -* ]] || die "--dir '$dir': expected a folder" 2
[ "$check_only" = 0 ] || exit 0

pids=()
declare -A name_of # of the coordinator and the agents, by process
finish() {
  local code=$?
  trap - EXIT INT TERM
  if [ ${#pids[@]} -gt 0 ]; then
    kill -TERM "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
  fi
  case $code in
    130 | 143)
      echo "quickstart: interrupted; everything it started is stopped, logs in $dir/logs" >&2
      ;;
  esac
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$dir"
exec 9>"$dir/lock"
flock -n 9 || die "another quickstart runs in $dir; wait for it or choose another --dir"
certs=$dir/certs logs=$dir/logs
rm -rf "$dir/data" "$dir/clients" "$logs" "$dir/model.pt" "$dir/report.json" "$dir/report.html"
mkdir -p "$dir/clients" "$logs"

# Certificates and keys are kept for the next run, and made anew when they have run out.
quietly() { "$@" >>"$logs/setup.log" 2>&1 9>&- || { cat "$logs/setup.log" >&2; die "\`$*\` failed"; }; }
fedwatt() { "$bin/fedwatt" --tls-dir "$certs" "$@" 9>&-; }
[ -f "$certs/ca.pem" ] && fedwatt doctor --json 2>/dev/null | grep -q '"failure"' &&
  fedwatt doctor --json 2>/dev/null | grep -q 'has expired' && rm -rf "$certs"
if [ ! -f "$certs/owner.pub" ]; then
  rm -rf "$certs"
  quietly "$bin/fedwatt" certs init --dir "$certs"
  quietly "$bin/fedwatt" certs issue --dir "$certs" --role evaluator --id evaluator --days 365
fi
for ((i = 0; i < clients; i++)); do
  [ -f "$certs/client-$i.pem" ] ||
    quietly "$bin/fedwatt" certs issue --dir "$certs" --id "client-$i" --days 365
done
quietly "$bin/fedwatt-torch" new mcmahan-cnn -o "$dir/model.fwb" --seed "$seed" --key "$certs/owner.key"

say "starting the coordinator and $clients client$([ "$clients" = 1 ] || echo s) (logs in $logs)"
"$bin/fedwatt-coordinator" --listen "127.0.0.1:$port" --data-dir "$dir/data" --tls-dir "$certs" \
  --port-file "$dir/port" >"$logs/coordinator.log" 2>&1 9>&- &
coordinator=$!
pids+=("$coordinator")
name_of[$coordinator]=coordinator
rm -f "$dir/port"
for ((tries = 0; tries < 200; tries++)); do
  [ -s "$dir/port" ] && break
  kill -0 "$coordinator" 2>/dev/null || { cat "$logs/coordinator.log" >&2; die "the coordinator did not start"; }
  sleep 0.05
done
[ -s "$dir/port" ] || die "the coordinator did not get ready within 10 s; see $logs/coordinator.log"
server=127.0.0.1:$(cat "$dir/port")

agent() { # identity, arguments
  local id=$1
  shift
  "$bin/fedwatt-client" --server "$server" --ca "$certs/ca.pem" --cert "$certs/$id.pem" \
    --key "$certs/$id.key" --trusted-key "$certs/owner.pub" --state-dir "$dir/clients/$id" \
    "$@" >"$logs/$id.log" 2>&1 9>&- &
  pids+=($!)
  name_of[$!]=$id
}
for ((i = 0; i < clients; i++)); do
  agent "client-$i" --dataset \
    "fashion-mnist=idx:$data?partition=dirichlet&alpha=$alpha&clients=$clients&client=$i&examples=$examples&seed=$seed"
done
agent evaluator --role evaluator --dataset "fashion-mnist-test=idx:$data?split=test"

# No round is complete without all of them, so that the job would wait for one that is gone.
check_the_others() {
  local pid code=0
  for pid in "${!name_of[@]}"; do
    kill -0 "$pid" 2>/dev/null && continue
    wait "$pid" || code=$?
    tail -n 5 "$logs/${name_of[$pid]}.log" >&2
    die "${name_of[$pid]} ended with exit code $code before the job did; its last lines are above"
  done
}

# Its errors go to a file, because on Ctrl-C it says how to go on watching a job that is gone by then.
run=("$bin/fedwatt" --tls-dir "$certs" --server "$server" run "$root/deploy/quickstart/job.toml"
  --bundle "$dir/model.fwb" --set "rounds=$rounds" --set "round.goal=$((goal == 0 ? clients : goal))"
  --set "seed=$seed" "${sets[@]}"
  --report "$dir/report.json")
if [ "$json" = 1 ]; then
  "${run[@]}" --json >"$logs/events.jsonl" 2>"$logs/run.err" 9>&- &
else
  "${run[@]}" 2>"$logs/run.err" 9>&- &
fi
job=$!
pids+=("$job")
while kill -0 "$job" 2>/dev/null; do
  check_the_others
  sleep 0.2 9>&-
done
code=0
wait "$job" || code=$?
if [ "$code" != 0 ]; then
  [ "$code" = 130 ] || { tail -n 5 "$logs"/*.log; cat "$logs/run.err"; } >&2
  exit "$code"
fi
fedwatt --server "$server" export quickstart -o "$dir/model.pt" >>"$logs/setup.log"
# A picture of Fashion-MNIST is 28 x 28 bytes and a label. Exit code 7: a target of --set was missed.
fedwatt --server "$server" report quickstart --html "$dir/report.html" \
  --central-bytes-per-example 785 --central-examples-per-device "$examples" \
  >>"$logs/setup.log" 2>&1 || [ $? = 7 ] || { tail -n 5 "$logs/setup.log" >&2; die "no report"; }
if [ "$json" = 1 ]; then
  cat "$dir/report.json"
else
  echo "  page           $dir/report.html (open it in a browser)"
  echo "  model          $dir/model.pt (torch.jit.load opens it)"
fi
