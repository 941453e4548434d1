#!/bin/sh
# Prints the path of a Python >= 3.13 that can make virtual environments; where there is none, says what to install.
set -u

# Runs the candidate, because being there is not enough: a pyenv shim may refuse to start, and a system Python may come
# without venv. Prints what is behind it: the base interpreter, not a shim or the environment that happens to be active.
try() {
    found=$("$1" -c 'import ensurepip, sys, venv; print(sys._base_executable if sys.version_info >= (3, 13) else "")' \
        2>/dev/null </dev/null) && [ -n "$found" ] && printf '%s\n' "$found" && exit 0
}

[ -n "${PYTHON:-}" ] && try "$PYTHON"
for name in python3.13 python3.14 python3 python; do
    try "$name"
done
for root in "${PYENV_ROOT:-}" "${HOME:-}/.pyenv" "$(pyenv root 2>/dev/null)"; do
    for python in "$root"/versions/3.1[3-9]*/bin/python; do
        try "$python"
    done
done
for request in 3.13 '>=3.13'; do
    try "$(uv python find --no-project --system "$request" 2>/dev/null)"
done

echo "No Python 3.13 or newer with venv found: install one with your package manager, \`pyenv install 3.13\` or" \
    "\`uv python install 3.13\`, or name yours: make PYTHON=/path/to/python3.13" >&2
exit 2
