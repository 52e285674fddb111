#!/usr/bin/env bash
# One part of a run as a task of a Slurm array; a task that is queued again goes on where it was.
#
#   array=$(sbatch --parsable --array=1-16 cluster/slurm/part.sh 16 RUN_ID OUT [options of `saescope analyze`])
#   sbatch --dependency=afterany:$array cluster/slurm/merge.sh 16 OUT
#
# The number of parts is said, not taken from SLURM_ARRAY_TASK_COUNT: that counts the tasks of one
# submission, and `--array=3,7` would then measure other parts than those that failed.
#SBATCH --job-name=saescope
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

parts=${1:?how many parts} run_id=${2:?the run\'s name} out=${3:?the folder of the parts}
shift 3
index=${SLURM_ARRAY_TASK_ID:?to be run as a task of an array: sbatch --array=1-$parts}
part="$out/part-$index"

status=0
if [[ -e $part/part.spool ]]; then
  echo "part $index is there" >&2
elif [[ -e $part/unfinished.spool ]]; then
  saescope analyze --resume "$part" || status=$?
else
  # the merge makes the comparisons; a part of few samples may have none, which is said and no failure
  saescope analyze "$@" --shard "$index/$parts" --no-stats --run-id "$run_id" --out "$part" || status=$?
fi
# 1 also says that some samples failed: they are in the part, by name, and in the merged run
[[ $status = 1 && -e $part/part.spool ]] && status=0
exit "$status"
