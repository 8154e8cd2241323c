# shellcheck shell=bash
# What ci/push, ci/find-tested and ci/mark share: names, the registry, build/images.env. Sourced.

build=${BUILD:-build}
services=(frontend backend nginx)
# shellcheck disable=SC2034 # read by who sources this
tree=$(git rev-parse 'HEAD^{tree}')

say() { echo "${0##*/}: $*"; }
die() { echo "${0##*/}: $*" >&2; exit 1; }

[ -n "${REGISTRY:-}" ] || die "REGISTRY is not set (host[:port][/path])"

# Credentials live in a folder of their own for as long as this process does.
private_login() {
    DOCKER_CONFIG=$(mktemp -d)
    export DOCKER_CONFIG
    trap 'rm -rf "$DOCKER_CONFIG"' EXIT
    ci/registry-login || exit 1
}

repository() { echo "$REGISTRY/tally-$1"; }

# find SERVICE TAG: its digest, or nothing where there is none; a registry that cannot say ends it all.
find_digest() {
    local status=0
    ci/registry digest "$(repository "$1"):$2" || status=$?
    ((status == 0 || status == 4)) || exit 1
}

# write_images DIGEST...: in the order of `services`; whole or not at all.
write_images() {
    local service
    mkdir -p "$build"
    for service in "${services[@]}"; do
        echo "${service^^}_IMAGE=$(repository "$service")@$1"
        shift
    done >"$build/images.env.new"
    echo "RELEASE=$(ci/release current)" >>"$build/images.env.new"
    mv "$build/images.env.new" "$build/images.env"
    cat "$build/images.env"
}
