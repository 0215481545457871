# Sourced by .ci/run. The versions of Python that plldb runs on, as far as this machine has them.

# Whether $1 is Python $2 (3.12, say) and can make environments; a script of pyenv's that finds no
# such version is none.
is_python() {
  "$1" -c "import ensurepip, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$2')" 2>/dev/null
}

# One of each version, other than that of $1, one a line.
other_pythons() {
  local version candidate root=${PYENV_ROOT:-$HOME/.pyenv}
  for version in 3.11 3.12 3.13 3.14; do
    ! is_python "$1" "$version" || continue
    for candidate in "python$version" "$root"/versions/"$version".*/bin/python; do
      if is_python "$candidate" "$version"; then
        echo "$candidate"
        break
      fi
    done
  done
}
