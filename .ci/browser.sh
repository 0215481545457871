# Sourced by .ci/run. A Chromium for the tests of the inspector's page, on a machine that has none.

# Uses one that is there; else installs it (Debian, as root). Without one, those tests fail in CI.
ensure_chromium() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    ! command -v "$name" >/dev/null 2>&1 || return 0
  done
  [ "$(id -u)" = 0 ] || { echo "no Chromium is here, and only root can install one" >&2; return 1; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
}
