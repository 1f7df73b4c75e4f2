#!/usr/bin/env bash
# Output: image=HOST/PATH@sha256:..., the trainer image of Starfreight's commit $COMMIT, for $TORCH.
# Builds and pushes it, unless the registry has it already.
set -euo pipefail

repository="$REGISTRY/${OWNER,,}/starfreight-trainer"
reference="$repository:${COMMIT:0:12}-$TORCH"

# skopeo and Starfreight read the same file.
export REGISTRY_AUTH_FILE="$RUNNER_TEMP/starfreight-registry.json"
trap 'rm -f "$REGISTRY_AUTH_FILE"' EXIT
insecure=() plain=()
if [ "$INSECURE" = true ]; then insecure=(--tls-verify=false) plain=(--insecure); fi
if [ -n "${STARFREIGHT_REGISTRY_PASSWORD:-}" ]; then
    printf '%s' "$STARFREIGHT_REGISTRY_PASSWORD" |
        skopeo login "${insecure[@]}" --username "$STARFREIGHT_REGISTRY_USERNAME" --password-stdin "$REGISTRY"
fi

if digest=$(skopeo inspect "${insecure[@]}" --no-tags --format '{{.Digest}}' "docker://$reference" 2> /dev/null); then
    image="$repository@$digest"
    echo "Reused $image."
else
    built="$RUNNER_TEMP/starfreight-image.json"
    starfreight images build trainer --torch "$TORCH" --push "$reference" "${plain[@]}" --json > "$built"
    image=$(python3 -Ic 'import json, sys; print(json.load(open(sys.argv[1]))["pushed"])' "$built")
fi
[[ "$image" =~ ^[^@]+@sha256:[0-9a-f]{64}$ ]]
echo "image=$image" >> "$GITHUB_OUTPUT"
