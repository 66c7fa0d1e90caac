#!/usr/bin/env bash
# Everything that only an accelerator can show, in some minutes: run it where there is one.
#   bash tests/device/run.sh [FOLDER for what it prints, as text and JSON]
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-device-results}
mkdir -p "$out"
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
python3 tests/device/check_models.py --device cuda --json "$out/device.json" 2>&1 | tee "$out/device.txt"
