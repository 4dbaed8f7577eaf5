#!/bin/sh
# The job of docker-compose.yml: makes and signs the first model, runs the job, and leaves report and
# model in /results. Ends with the job's exit code.
set -eu
cd /results
fedwatt health --wait 60
fedwatt-torch new mcmahan-cnn -o first.fwb --key "$FEDWATT_TLS_DIR/owner.key"
rm -f report.json report.html model.pt
# Started again after a kill, it goes on to watch the same job.
[ -s request ] || od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >request
code=0
fedwatt run /usr/share/fedwatt/job.toml --bundle first.fwb --request-id "$(cat request)" \
  --report report.json || code=$?
[ "$code" = 3 ] || rm request # unreachable: the job may still run
[ "$code" = 0 ] || [ "$code" = 7 ] || exit "$code"
job=$(sed -n 's/^ *"id": *"\([^"]*\)".*/\1/p' report.json | head -n 1)
fedwatt export "$job" -o model.pt
# A picture of Fashion-MNIST is 28 x 28 bytes and a label.
fedwatt report "$job" --html report.html --central-bytes-per-example 785 \
  --central-examples-per-device "$FEDWATT_EXAMPLES" >/dev/null || [ $? = 7 ]
echo "results are in the volume: report.json, report.html, model.pt (docs/compose.md)"
exit "$code"
