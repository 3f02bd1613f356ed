#!/usr/bin/env bash
# A nightly job for cron: one at a time, with a log of its own, and a mail only when it fails.
#
#   15 2 * * *  /srv/forecast/nightly.sh
#
# What differs from team to team comes from the environment:
#   JOB_FOLDER  where rayyarn.yaml and the program are     (default: this script's folder)
#   JOB_PROGRAM the program                                (default: python program.py)
#   JOB_LOGS    where logs go, kept for 14 days            (default: $JOB_FOLDER/logs)
#   JOB_MAIL    who is told of a failure; empty: nobody
set -euo pipefail

folder=${JOB_FOLDER:-$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)}
logs=${JOB_LOGS:-$folder/logs}
read -r -a program <<<"${JOB_PROGRAM:-python program.py}"
mkdir -p "$logs"
log=$logs/$(date +%Y-%m-%dT%H%M%S).log

# The lock is this shell's open file: the kernel drops it however the job ends.
exec 9>"$logs/.lock"
if ! flock --nonblock 9; then
    echo "the last run is not over: nothing was started" >&2
    exit 75
fi

cd "$folder"
code=0
# cron knows neither conda nor Hadoop: name both in rayyarn.yaml (environment, hadoop-conf) or in the crontab.
rayyarn run --json-file "$log.json" -- "${program[@]}" >>"$log" 2>&1 9>&- || code=$?

if ((code != 0)); then
    # 125: the cluster did not come up, or went away. Anything else is the program's own exit code.
    what=$([[ $code -eq 125 ]] && echo "rayyarn could not run it" || echo "the program failed with $code")
    if [[ -n ${JOB_MAIL:-} ]]; then
        { echo "$what; the end of $log:"; tail -n 40 "$log"; } | mail -s "nightly: $what" "$JOB_MAIL"
    fi
    echo "$what: $log" >&2
fi
find "$logs" -name '*.log*' -mtime +14 -delete
exit "$code"
