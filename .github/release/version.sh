#!/usr/bin/env bash
# Output: version=X.Y.Z, which $TAG (vX.Y.Z), the code and the changelog have to agree on.
set -euo pipefail

refuse() {
    echo "::error title=Release::$1"
    exit 1
}

version=${TAG#v}
[[ "$version" =~ ^[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?$ ]] || refuse "The tag is not vX.Y.Z, or vX.Y.ZrcN."
code=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' starfreight/__init__.py)
[ "$version" = "$code" ] || refuse "The tag is of version $version, and starfreight/__init__.py has $code."
grep -q "^## $version\b" CHANGELOG.md || refuse "CHANGELOG.md has no section '## $version'."
echo "version=$version" >> "$GITHUB_OUTPUT"
