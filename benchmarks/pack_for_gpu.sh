#!/usr/bin/env bash
# Pack what benchmarks/on_gpu.sh needs on a machine that has a GPU and no network: records as one
# archive, and the wheels of all dependencies in the versions installed here.
#
#   NASBENCH_ECG_DATA=DIR benchmarks/pack_for_gpu.sh [FOLDER]        (default: .carry)
#
# Settings, with their defaults:
# PACK_PYTHON    version of Python on the GPU machine (3.12), or 'here' for that of this machine
# PACK_WITHOUT   packages that the GPU machine has ("torch numpy scipy scikit-learn pandas
#                matplotlib"); packages that only they need are left out too
# PACK_DATABASES folders of records to pack (mitdb)
# PACK_RECORDS   records to pack (all records in these folders)
# PACK_LIMIT_MB  largest size of the folder (64)
# PACK_TABLES    folder of tables to continue there (none)
# PACK_NO_WHEELS set it to pack no wheels (unset)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
carry=${1:-$here/../.carry}
version=${PACK_PYTHON:-3.12}
limit=${PACK_LIMIT_MB:-64}
die() { echo "pack_for_gpu: $*" >&2; exit 2; }

data=${NASBENCH_ECG_DATA:-}
files=()
for database in ${PACK_DATABASES:-mitdb}; do
  [ -d "$data/$database" ] ||
    die "no records: NASBENCH_ECG_DATA must name a folder that holds $database"
  for name in ${PACK_RECORDS:-$(cd "$data/$database" && ls ./*.hea | sed 's/\.hea$//; s|^\./||')}; do
    for extension in hea dat atr; do
      [ -f "$data/$database/$name.$extension" ] ||
        die "record $name has no $name.$extension in $data/$database"
      files+=("$database/$name.$extension")
    done
  done
done
mkdir -p "$carry"
carry=$(cd "$carry" && pwd)
# Two 12-bit samples, one of each lead, take three bytes: differences at that distance pack best.
archive=$carry/records.tar.xz
tar -C "$data" -cf - "${files[@]}" |
  xz -T0 --delta=dist=3 --lzma2=preset=6,lc=0,lp=0 >"$archive.part"
mv "$archive.part" "$archive"

rm -rf "$carry/wheels"
mkdir "$carry/wheels"
if [ -z "${PACK_NO_WHEELS:-}" ]; then
  fit=()
  if [ "$version" != here ]; then
    fit=(--python-version "$version" --implementation cp --abi "cp${version/./}" --abi abi3 --abi none)
    for glibc in 17 24 26 27 28 31 34; do
      fit+=(--platform "manylinux_2_${glibc}_x86_64")
    done
    fit+=(--platform manylinux2014_x86_64 --platform manylinux1_x86_64 --platform any)
  fi
  # shellcheck disable=SC2086
  wanted=$(python3 "$here/gpu/packages.py" ${PACK_WITHOUT-torch numpy scipy scikit-learn pandas matplotlib})
  # shellcheck disable=SC2086
  python3 -m pip download -q --no-deps --only-binary=:all: "${fit[@]}" -d "$carry/wheels" $wanted
fi

if [ -n "${PACK_TABLES:-}" ]; then
  rm -rf "$carry/tables"
  cp -r "$PACK_TABLES" "$carry/tables"
  rm -rf "$carry"/tables/*/*/shards
fi

used=$(du -sm "$carry" | cut -f1)
echo "$carry: $used MB, $((${#files[@]} / 3)) records, $(ls "$carry/wheels" | wc -l) wheels"
[ "$used" -le "$limit" ] ||
  die "over the limit of $limit MB: pack fewer records (PACK_RECORDS) or leave out packages (PACK_WITHOUT)"
