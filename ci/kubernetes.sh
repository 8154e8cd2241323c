# shellcheck shell=bash
# What ci/deploy and ci/bluegreen share: saying why, asking the cluster, asking the page. Sourced.
#
# DESIGN. A question to a Service goes through `kubectl port-forward`: it needs no public address, and
# no network policy stands in its way. `die` leaves the reason as the last line of standard error,
# whatever the clean-up says before it.

say() { echo "${0##*/}: $*" >&2; }
# shellcheck disable=SC2034 # read by who sources this
die() { reason="${*//[$'\n\r']/ }"; exit 1; }

# With a limit, so that a cluster that does not answer ends in an error and not in a hanging build.
k() { kubectl --request-timeout="${REQUEST_TIMEOUT:-60s}" "$@"; }

# One sentence out of an error of kubectl.
first_line() { sed -n '/[^[:space:]]/{p;q}'; }

# awaits SECONDS COMMAND...: until it succeeds, asked once a second; 1 when the time is over.
awaits() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 1
    done
}

# --- asking a page ---

forward_pid='' forward_url=''

# forward_open NAMESPACE TARGET [PORT]: makes it answer at $forward_url, on a free port of this machine.
forward_open() {
    local line
    forward_close
    exec {forward_fd}< <(exec kubectl --namespace "$1" port-forward --address 127.0.0.1 "$2" ":${3:-80}" 2>&1)
    forward_pid=$!
    while IFS= read -r -t "${FORWARD_TIMEOUT:-20}" -u "$forward_fd" line; do
        if [[ $line =~ ^Forwarding\ from\ 127\.0\.0\.1:([0-9]+) ]]; then
            forward_url=http://127.0.0.1:${BASH_REMATCH[1]}
            return 0
        fi
    done
    forward_close
    return 1
}

forward_close() {
    [[ $forward_pid ]] || return 0
    kill "$forward_pid" 2>/dev/null || true
    exec {forward_fd}<&-
    forward_pid='' forward_url=''
}

ask() { curl --silent --show-error --fail --max-time 5 --noproxy '*' --header 'Accept: application/json' "$forward_url$1" 2>&1; }

# field NAME: a member of the one-line JSON object on standard input, a string's quotes taken off.
field() { sed -nE "s/.*\"$1\":(\"([^\"]*)\"|([0-9]+|null|\[)).*/\2\3/p"; }

# page_says COLOUR [VERSION]: one visit; sets $visitor, or $wrong to what was not right.
page_says() {
    local page colour version
    visitor='' wrong=''
    page=$(ask /) || { wrong="the page did not answer (${page:0:120})"; return 1; }
    visitor=$(field visitor <<<"$page") colour=$(field environment <<<"$page") version=$(field version <<<"$page")
    if [[ $colour != "$1" ]]; then
        wrong="the page is ${colour:-no colour}, not $1"
    elif [[ ${2:-} && $version != "$2" ]]; then
        wrong="the page is of version ${version:-none}, not $2"
    elif [[ ! $visitor =~ ^[1-9][0-9]*$ ]]; then
        wrong="the visit was not counted"
    elif [[ $(field users <<<"$page") != '[' ]]; then
        wrong="the page has no users"
    fi
    [[ ! $wrong ]]
}

# smoke_once COLOUR [VERSION]: two visits, of which the second has the greater number.
smoke_once() {
    local first
    page_says "$@" || return 1
    first=$visitor
    page_says "$@" || return 1
    ((visitor > first)) && return
    wrong="the number did not grow: $first, then $visitor"
    return 1
}

# smoke NAMESPACE TARGET PORT COLOUR [VERSION]: asked again until it is right or SMOKE_TIMEOUT seconds are over.
smoke() {
    local status=0
    forward_open "$1" "$2" "$3" || { wrong="$2 in $1 cannot be reached"; return 1; }
    awaits "${SMOKE_TIMEOUT:-30}" smoke_once "${@:4}" || status=1
    forward_close
    return $status
}

# --- asking the cluster ---

# image_of NAMESPACE DEPLOYMENT: the image that it asks for; empty where it is not there.
image_of() { k get --namespace "$1" deployment "$2" --ignore-not-found -o 'jsonpath={.spec.template.spec.containers[0].image}'; }

# rolled_out NAMESPACE SECONDS DEPLOYMENT...: whether they come to run as asked; $wrong says which does not.
rolled_out() {
    local namespace=$1 deadline=$((SECONDS + $2)) name left
    shift 2
    for name; do
        left=$((deadline - SECONDS))
        kubectl --namespace "$namespace" rollout status "deployment/$name" --timeout="$((left > 1 ? left : 1))s" >&2 && continue
        wrong="$name did not come up"
        return 1
    done
}
