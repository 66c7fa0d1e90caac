#!/usr/bin/env bash
# Everything that only an accelerator can show, in some minutes: run it where there is one.
#   bash tests/device/run.sh [FOLDER for what it prints, as text and JSON]
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-device-results}
mkdir -p "$out"
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
failed=0
python3 tests/device/check_models.py --device cuda --json "$out/device.json" 2>&1 \
    | tee "$out/device.txt" || failed=1
# EGNN's benchmark of bodies, 1000 steps: errors as on a processor, seconds as nowhere else.
python3 workflows/n_body/run.py --device cuda --feed fixed --model egnn fa_gnn ponita mace \
    --data "$out/n_body" --out "$out/n_body.jsonl" 2>&1 | tee "$out/n_body.txt" || failed=1
exit $failed
