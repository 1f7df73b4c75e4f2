#!/usr/bin/env bash
# Installs the Starfreight in $SOURCE, with its locked libraries, into $RUNNER_TEMP/starfreight-$FOR.
set -euo pipefail

refuse() {
    echo "::error title=setup-starfreight::$1"
    exit 2
}

# Made by `make locks`, all of them: the commit fixes every library.
own="$SOURCE/.github/actions/setup-starfreight"
case "$FOR" in
train) locks=("$SOURCE/images/trainer/torch-$TORCH.txt" "$SOURCE/images/trainer/requirements.txt") ;;
publish) locks=("$SOURCE/images/packager/requirements.txt" "$own/sigstore.txt" "$own/build.txt") ;;
*) refuse "The input 'for' is neither train nor publish." ;;
esac
case "$TORCH" in
cpu | cuda) ;;
*) refuse "The input 'torch' is neither cpu nor cuda." ;;
esac
if [ "$KUBERNETES" = true ]; then
    locks+=("$own/kubernetes.txt")
fi

environment="$RUNNER_TEMP/starfreight-$FOR"
"$PYTHON" -I -m venv --clear "$environment"
pip=("$environment/bin/pip" --disable-pip-version-check --quiet install)
for lock in "${locks[@]}"; do
    "${pip[@]}" --require-hashes --only-binary :all: --no-deps --requirement "$lock"
done
# The wheel is built with the locked setuptools, without one that pip would download.
"${pip[@]}" --no-deps --no-build-isolation --no-index "$SOURCE"

version=$("$environment/bin/starfreight" --version)
echo "$version"
echo "$environment/bin" >> "$GITHUB_PATH"
{
    echo "version=${version##* }"
    echo "python=$environment/bin/python"
} >> "$GITHUB_OUTPUT"
