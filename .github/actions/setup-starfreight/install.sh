#!/usr/bin/env bash
# Installs the Starfreight in $SOURCE, with its locked libraries, into $RUNNER_TEMP/starfreight-$FOR.
set -euo pipefail

refuse() {
    echo "::error title=setup-starfreight::$1"
    exit 2
}

case "$FOR" in
train) locks=("$SOURCE/images/trainer/torch-$TORCH.txt" "$SOURCE/images/trainer/requirements.txt") extras= ;;
publish) locks=("$SOURCE/images/packager/requirements.txt") extras=sigstore ;;
*) refuse "The input 'for' is neither train nor publish." ;;
esac
case "$TORCH" in
cpu | cuda) ;;
*) refuse "The input 'torch' is neither cpu nor cuda." ;;
esac
if [ "$KUBERNETES" = true ]; then
    extras="${extras:+$extras,}kubernetes"
fi

environment="$RUNNER_TEMP/starfreight-$FOR"
"$PYTHON" -m venv --clear "$environment"
pip=("$environment/bin/pip" --disable-pip-version-check --quiet install)
for lock in "${locks[@]}"; do
    "${pip[@]}" --require-hashes --only-binary :all: --no-deps --requirement "$lock"
done
if [ -n "$extras" ]; then
    # The libraries of extras are in no lock file. The locked ones keep their versions.
    sed -E 's/ *\\$//; s/ *--hash=.*//; /^ *#/d; /^--/d' "${locks[@]}" > "$environment/constraints.txt"
    "${pip[@]}" --constraint "$environment/constraints.txt" "$SOURCE[$extras]"
else
    "${pip[@]}" --no-deps "$SOURCE"
fi

version=$("$environment/bin/starfreight" --version)
echo "$version"
echo "$environment/bin" >> "$GITHUB_PATH"
{
    echo "version=${version##* }"
    echo "python=$environment/bin/python"
} >> "$GITHUB_OUTPUT"
