#!/usr/bin/env bash
# Gradescope runs this once, as root, while it builds the image. It ends with an error where a submission could not be graded.
set -euo pipefail

root="${AUTOGRADER_ROOT:-/autograder}"
source="$root/source"
venv="${AUTOGRADER_VENV:-/opt/autograder}"  # students' code may read it; it holds nothing of the exercises

# A final release of Python, 3.11 or newer, that can make a virtual environment.
suitable() {
    command -v "$1" > /dev/null && "$1" -c 'import ensurepip, sys, venv; v = sys.version_info; sys.exit(v < (3, 11) or v.releaselevel != "final")' 2> /dev/null
}

python=""
for name in python3 python3.13 python3.12 python3.11; do
    if [ -z "$python" ] && suitable "$name"; then
        python="$name"
    fi
done
if [ -z "$python" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    # Ubuntu 22.04 has Python 3.10, and of 3.11 only a release candidate; the archive of deadsnakes has the final one.
    if apt-get install -y --no-install-recommends software-properties-common gnupg && add-apt-repository -y ppa:deadsnakes/ppa; then
        apt-get update
    else
        echo "The archive of deadsnakes cannot be reached; Ubuntu's own Python 3.11 is taken."
    fi
    apt-get install -y --no-install-recommends python3.11 python3.11-venv
    python="python3.11"
fi
echo "Python: $("$python" --version)"

# The lock names everything that is needed, so nothing else is looked for. torch comes from an index of its own if the release
# names one (--torch-index); pip's own build is made for GPUs and needs further packages.
umask 022
"$python" -m venv "$venv"
torch="$(grep '^torch==' "$source/requirements.txt")"
index="$(cat "$source/torch-index")"
if [ -n "$index" ]; then
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-cache-dir --no-deps --index-url "$index" "$torch"
else
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-cache-dir "$torch"
fi
"$venv/bin/python" -m pip install --disable-pip-version-check --no-cache-dir --no-deps -r "$source/requirements.txt"

# The grader, the bank and the secret seed are for root alone.
mkdir -p "$root/results" "$root/submission"
chown -R 0:0 "$source"
chmod -R go= "$source" "$root/results" "$root/submission"

# The reference answers get all points, the empty notebook none, and code that looks for the grader finds nothing.
PYTHONPATH="$source" "$venv/bin/python" -P -B -m exercises.grader.gradescope.run --root "$root" --prove
echo "The autograder is ready."
