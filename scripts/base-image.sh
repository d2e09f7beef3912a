#!/usr/bin/env bash
# Makes sure that Docker has the base image, built from Debian packages by images/base; no registry is asked.
. "$(dirname "$0")/lib.sh"

RECIPE=$(digest images/base)
NAME=shale/base
TAG=bookworm-${RECIPE:0:12}
TAR=$CACHE/images/base-$TAG.tar

present() { [ "$(docker image inspect --format '{{index .Config.Labels "org.shale.recipe"}}' "$1" 2>/dev/null)" = "$RECIPE" ]; }

build() {
  say "building the base image from Debian packages (2 minutes or so, once)"
  mkdir -p "$CACHE/images"
  # The root filesystem, its owners and device modes need root; the file is then ours again.
  quietly base-image as_root bash "$ROOT/images/base/build.sh" "$TAR.new"
  as_root chown "$(id -u):$(id -g)" "$TAR.new"
  find "$CACHE/images" -name 'base-*.tar' -delete
  mv "$TAR.new" "$TAR"
}

if present "$NAME:$TAG" && present "$NAME:latest"; then
  exit 0
fi
if ! present "$NAME:$TAG"; then
  started=$(date +%s)
  [ -f "$TAR" ] || build
  say "importing the base image into Docker ($(du -m "$TAR" | cut -f1) MB)"
  quietly import docker import \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV LANG=C.UTF-8' \
    --change 'CMD ["/bin/bash"]' \
    --change 'LABEL org.shale.image=base' \
    --change "LABEL org.shale.recipe=$RECIPE" \
    --message "Shale's base image $TAG" "$TAR" "$NAME:$TAG"
  say "base image $NAME:$TAG is ready ($(($(date +%s) - started)) s)"
fi
docker tag "$NAME:$TAG" "$NAME:latest"
# A recipe that is no longer ours leaves its image; Docker keeps one that a container still uses.
docker image ls --quiet --no-trunc --filter label=org.shale.image=base | sort -u |
  grep -v "$(docker image inspect --format '{{.Id}}' "$NAME:$TAG")" | xargs -r docker image rm >/dev/null 2>&1 || true
