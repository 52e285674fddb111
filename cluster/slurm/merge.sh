#!/usr/bin/env bash
# Joins what part.sh measured; see there. What is missing is named, and nothing is written then.
#SBATCH --job-name=saescope-merge
set -euo pipefail

parts=${1:?how many parts} out=${2:?the folder of the parts}
shift 2
found=()
for ((index = 1; index <= parts; index++)); do
  # a part of few samples may have none: it makes no folder
  [[ -e $out/part-$index ]] && found+=("$out/part-$index")
done
exec saescope merge "${found[@]}" --out "$out/whole" "$@"
