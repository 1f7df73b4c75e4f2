#!/usr/bin/env bash
# Trains, packages and evaluates $RECIPE for at most $MINUTES. After that it stops with a checkpoint.
# Output: state=done or state=stopped. Runs in the directory of the repository.
set -euo pipefail

if ! [[ "$MINUTES" =~ ^[1-9][0-9]{0,4}$ ]]; then
    echo "::error title=Train::The input minutes is not a whole number of minutes."
    exit 2
fi

options=()
if [ "$WHERE" = kubernetes ]; then
    options+=(--on kubernetes)
    if [ -n "$IMAGE" ]; then options+=(--image "$IMAGE"); fi
    if [ -n "$NAMESPACE" ]; then options+=(--namespace "$NAMESPACE"); fi
fi
case "$PUBLISH" in
best) options+=(--choose best) ;;
all) ;;
*)
    echo "::error title=Train::The input publish is neither all nor best."
    exit 2
    ;;
esac
# A local job gets no variable that its libraries do not read; an empty one would count as given.
for name in HF_TOKEN STARFREIGHT_REGISTRY_USERNAME STARFREIGHT_REGISTRY_PASSWORD; do
    if [ -z "${!name:-}" ]; then unset "$name"; fi
done

# -I: modules of the recipe's directory are not imported.
python3 -I - "$RECIPE" > "$RESULTS/packages/recipe-name" <<'PYTHON'
import sys
from pathlib import Path

from starfreight.recipe import load_recipe

print(load_recipe(Path(sys.argv[1])).recipe.name)
PYTHON

# Lines of the training are no commands for the runner, such as those that set outputs.
token=$(python3 -Ic 'import secrets; print(secrets.token_hex())')
echo "::stop-commands::$token"
result=0
# --foreground: starfreight alone gets the signal, and stops its job with a checkpoint.
timeout --foreground --signal=TERM --kill-after=900 "${MINUTES}m" \
    starfreight run "$RECIPE" --runs "$RESULTS/runs" --packages "$RESULTS/packages" "${options[@]}" --json \
    2>&1 > "$RESULTS/packages/starfreight.json" || result=$?
echo
echo "::$token::"
case $result in
0) state=done ;;
# 124: the time is up. 75: somebody stopped the job, with its checkpoint written.
75 | 124) state=stopped ;;
*) exit "$result" ;;
esac
echo "state=$state" >> "$GITHUB_OUTPUT"
if [ "$state" = stopped ]; then
    echo "::notice title=Train::Stopped after $MINUTES minutes or on request. The next part continues from here."
fi
