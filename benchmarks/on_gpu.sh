#!/usr/bin/env bash
# Run the checks, the speed benchmarks and the published runs on a machine that has a GPU and
# PyTorch, but no network.
#
#   benchmarks/on_gpu.sh [MINUTES] [OUT]              (default: 30 minutes, on-gpu/)
#
# First run benchmarks/pack_for_gpu.sh on a machine that has a network. When the minutes are over,
# or after an interruption, the same command with the same OUT continues.
# OUT then holds run records, logs and summary.md, and take-home.tar.gz with all of them.
#
# Settings, with their defaults:
# ON_GPU_CARRY    folder that pack_for_gpu.sh made (.carry beside benchmarks/)
# ON_GPU_PYTHON   interpreter that has PyTorch (python3)
# ON_GPU_DEVICE   cuda, or cpu to test this script (cuda)
# ON_GPU_PROFILE  profile of the runs (paper)
# ON_GPU_RUNS     file of runs, one a line (benchmarks/gpu/runs.txt)
# ON_GPU_COMMANDS file of other commands, one a line (benchmarks/gpu/commands.txt)
# ON_GPU_SPEED    arguments of 'python benchmarks/speed' (the benchmarks that a GPU changes most)
# ON_GPU_TABLES   tracks of the tables to build, see benchmarks/gpu/tables.py
# ON_GPU_WORK     scratch folder (OUT/work)
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
minutes=${1:-30}
out=${2:-on-gpu}
python=${ON_GPU_PYTHON:-python3}

speed="--update --epochs 2 --precision tf32"
for name in supernet-paper training-paper whole-run busy supernet-quick training-quick candidates; do
  speed="$speed --only $name"
done
tables="mitbih-2lead-rhythm:inter-patient"

mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
work=${ON_GPU_WORK:-$out/work}
mkdir -p "$work" || exit 2
work=$(cd "$work" && pwd)

export PYTHONPATH="$work/site:$root:$root/plugins:$root/benchmarks${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1 PIP_NO_INDEX=1 NASBENCH_ECG_CACHE="$work/cache" COLUMNS=100
exec "$python" "$root/benchmarks/gpu/session.py" \
  --minutes "$minutes" --out "$out" --work "$work" --root "$root" \
  --carry "${ON_GPU_CARRY:-$root/.carry}" \
  --device "${ON_GPU_DEVICE:-cuda}" --profile "${ON_GPU_PROFILE:-paper}" \
  --tables="${ON_GPU_TABLES-$tables}" \
  --commands "${ON_GPU_COMMANDS:-$root/benchmarks/gpu/commands.txt}" \
  --runs "${ON_GPU_RUNS:-$root/benchmarks/gpu/runs.txt}" --speed="${ON_GPU_SPEED:-$speed}"
