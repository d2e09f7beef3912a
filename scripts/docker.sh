#!/usr/bin/env bash
# Makes sure that a Docker Engine answers: `ensure` starts one where none does, `stop` ends the one it started,
# `drivers` tells it where a user's volume drivers listen.
#
# An engine that answers already is never touched. One that we start ourselves maps the containers' root
# to an unprivileged user of the host (userns-remap; docs/decisions/0001-tools-and-install.md).
. "$(dirname "$0")/lib.sh"

PID_FILE=/run/shale-dockerd.pid
LOG=/var/log/shale-dockerd.log
WAIT_SECONDS=60

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# The pid that we noted, if it is still a dockerd.
ours() {
  local pid
  pid=$(cat "$PID_FILE" 2>/dev/null) || return 1
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] && printf '%s' "$pid"
}

# A second engine can't share the data of a running one; say why the first doesn't answer us.
explain_running() {
  local pid
  pid=$(pgrep -x dockerd | head -n 1) || return 0
  if [ "$(id -u)" -ne 0 ] && as_root docker version >/dev/null 2>&1; then
    grant_socket
    exit 0
  fi
  die "dockerd runs (pid $pid) but does not answer on ${DOCKER_HOST:-/var/run/docker.sock}: look at its log, or set DOCKER_HOST"
}

# The socket belongs to the group docker; membership holds from the next login, `sg` takes it now (see run).
grant_socket() {
  id -nG "$(id -un)" | grep -qw docker && return 0
  say "adding $(id -un) to the group docker, which may use the engine"
  as_root usermod -aG docker "$(id -un)"
}

start_directly() {
  local flags=(--host unix:///var/run/docker.sock --pidfile "$PID_FILE" --log-level warn)
  # The person's own daemon.json decides; a setting that stands in both stops dockerd.
  if ! grep -qs userns-remap /etc/docker/daemon.json; then
    flags+=(--userns-remap default)
  fi
  # shellcheck disable=SC2016  # expanded by the shell that runs as root
  as_root bash -c 'log=$1; shift; umask 022; exec setsid -f dockerd "$@" >"$log" 2>&1 </dev/null' \
    start-dockerd "$LOG" "${flags[@]}"
}

# A machine without systemd may have mounted no control groups, without which no container starts.
mount_cgroups() {
  mountpoint -q /sys/fs/cgroup || grep -qs ' cgroup2\? ' /proc/mounts || as_root mount -t cgroup2 cgroup2 /sys/fs/cgroup
}

# What the engine said last; systemd keeps its own log.
last_words() {
  local words
  words=$(as_root tail -n 1 "$LOG" 2>/dev/null | cut -c1-300)
  printf '%s' "${words:-see journalctl -u docker}"
}

ensure() {
  if answers; then
    return 0
  fi
  [ -z "${DOCKER_HOST:-}" ] || die "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset DOCKER_HOST"
  command -v dockerd >/dev/null || die "dockerd is not installed: run make install"
  explain_running
  if [ -d /run/systemd/system ]; then
    say "starting the Docker Engine (systemctl start docker)"
    as_root systemctl start docker || die "systemd could not start docker: see journalctl -u docker"
  else
    say "starting the Docker Engine (dockerd, log in $LOG)"
    mount_cgroups
    start_directly
  fi
  [ "$(id -u)" -eq 0 ] || grant_socket
  local waited=0
  until as_root docker version --format '{{.Server.Version}}' >/dev/null 2>&1; do
    if [ "$waited" -ge $((WAIT_SECONDS * 5)) ] || { [ "$waited" -gt 10 ] && ! pgrep -x dockerd >/dev/null; }; then
      die "the Docker Engine did not start: $(last_words); mend that and run again, or give a running one by DOCKER_HOST"
    fi
    sleep 0.2
    waited=$((waited + 1))
  done
  say "Docker Engine $(as_root docker version --format '{{.Server.Version}}') answers; 'make stop' ends it"
}

stop() {
  local pid
  if ! pid=$(ours); then
    say "no Docker Engine of ours runs"
    return 0
  fi
  say "stopping the Docker Engine that we started (pid $pid)"
  as_root kill "$pid"
  local waited=0
  while ours >/dev/null && [ "$waited" -lt 150 ]; do
    sleep 0.2
    waited=$((waited + 1))
  done
  ! ours >/dev/null || die "dockerd (pid $pid) does not stop: see $LOG"
}

# run CMD…: CMD with the group docker where our login doesn't have it yet.
run() {
  if ! answers && id -nG "$(id -un)" | grep -qw docker; then
    exec sg docker -c "$(printf '%q ' "$@")"
  fi
  exec "$@"
}

# drivers NAME…: tell the engine where volume drivers of these names listen, which only root can: a user's socket
# lies in the user's home (src/shale/datasets/driver_socket.py); root's is where the engine looks by itself.
drivers() {
  [ "$(id -u)" -ne 0 ] || return 0
  local name spec address
  for name in "$@"; do
    spec=/etc/docker/plugins/$name.spec
    address=unix://$(getent passwd "$(id -un)" | cut -d: -f6)/.cache/shale/plugins/$name.sock
    [ "$(cat "$spec" 2>/dev/null)" != "$address" ] || continue
    say "telling the Docker Engine of the volume driver $name ($spec)"
    as_root mkdir -p "${spec%/*}"
    printf '%s\n' "$address" | as_root tee "$spec" >/dev/null
  done
}

case "${1:-}" in
  ensure) ensure ;;
  stop) stop ;;
  drivers)
    shift
    drivers "$@"
    ;;
  run)
    shift
    run "$@"
    ;;
  *) die "usage: scripts/docker.sh ensure | stop | drivers NAME… | run CMD…" ;;
esac
