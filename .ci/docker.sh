# Sourced by .ci/run. A Docker engine and a base image, on a machine that may have neither.

DOCKERD_PID=

# Uses the engine that answers; else installs one (Debian, as root) and starts it.
ensure_docker() {
  docker info >/dev/null 2>&1 && return 0
  [ "$(id -u)" = 0 ] || { echo "no Docker engine answers, and only root can start one" >&2; return 1; }
  if ! command -v dockerd >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables >/dev/null
  fi
  local log attempt
  log=$(mktemp)
  for attempt in 1 2; do  # a containerd that was killed makes the first one fail
    setsid dockerd >"$log" 2>&1 </dev/null &
    DOCKERD_PID=$!
    for _ in $(seq 300); do
      docker info >/dev/null 2>&1 && { rm "$log"; return 0; }
      kill -0 "$DOCKERD_PID" 2>/dev/null || break
      sleep 0.2
    done
    stop_docker
  done
  tail -n 5 "$log" >&2
  rm "$log"
  return 1
}

# Stops the engine only if it was started here.
stop_docker() {
  [ -n "$DOCKERD_PID" ] || return 0
  kill "$DOCKERD_PID" 2>/dev/null || true
  wait "$DOCKERD_PID" 2>/dev/null || true
  DOCKERD_PID=
}

# Where the Dockerfile's own base image can't be pulled: one made from a local Python 3.13.
ensure_base_image() {
  local default=python:3.13-slim python
  docker image inspect "$default" >/dev/null 2>&1 && return 0
  docker pull -q "$default" >/dev/null 2>&1 && return 0
  python=$(python3.13 -c 'import sys; print(sys.base_prefix)' 2>/dev/null ||
    pyenv prefix 3.13 2>/dev/null || pyenv prefix 3.13.0 2>/dev/null) ||
    { echo "no registry is in reach and no Python 3.13 is installed" >&2; return 1; }
  export BASE_IMAGE=plldb-python:3.13
  docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 || .ci/make-base-image "$python" "$BASE_IMAGE"
}
