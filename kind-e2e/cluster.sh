# What up, down, load and run share: which Docker, which cluster, where its kubeconfig is. To be sourced.
# shellcheck shell=bash
cluster=podinit-e2e
cache=${PODINIT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/podinit}
# What is ours alone: the kubeconfig, and which cluster we made.
folder=$cache/kind-$cluster
export KUBECONFIG=$folder/kubeconfig
# A dockerd apart from the one that the tests of images start and stop.
export PODINIT_DOCKERD=${PODINIT_DOCKERD:-podinit-kind}
# kind itself writes to a terminal with colours and a spinner; what it says is for a log here.
export NO_COLOR=1

say() { printf '%s\n' "$*" >&2; }
die() {
  local code=$1
  shift
  say "kind-e2e/${0##*/}: $*"
  exit "$code"
}

# Waits until a command succeeds, for so many seconds.
await() {
  local limit=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < limit)) || return 1
    sleep 0.2
  done
}

# Defines in_docker_net, and kind and kubectl with the right Docker and where the API server can be reached.
enter() {
  local settings kind kubernetes
  settings=$("$here/dockerd" env) || die 69 "no cluster is up; kind-e2e/up makes one"
  eval "$settings"
  kind=$("$here/kind")
  # Ours is of the right version; the machine's does where nothing was built.
  kubernetes=$("$here/build" --folder)
  [[ -x $kubernetes/kubectl ]] || command -v kubectl >/dev/null || "$here/build" >/dev/null
  tools=$kind:$kubernetes
  PATH=$tools:$PATH
}
kind_() { in_docker_net kind "$@"; }
kubectl_() { in_docker_net kubectl "$@"; }
exists() { kind_ get clusters 2>/dev/null | grep -qx "$cluster"; }

# Where our own dockerd is.
own_socket=unix:///run/$PODINIT_DOCKERD/docker.sock
# Whether the cluster that exists is the one that kind-e2e/up made: in our own dockerd, or its nodes are the containers that
# up wrote down. Another one may have our name; it is not deleted, used or loaded into.
is_ours() {
  [[ ${DOCKER_HOST:-} == "$own_socket" ]] || [[ -s $folder/nodes && $(nodes) == "$(<"$folder/nodes")" ]]
}
nodes() { docker ps --all --no-trunc --quiet --filter "label=io.x-k8s.kind.cluster=$cluster" | sort; }
demand_ours() {
  is_ours || die 73 "a kind cluster $cluster is there that was not made with $cache, or is not as it was made;" \
    "nothing is done to it. Where nobody needs it: kind delete cluster --name $cluster"
}
demand_cluster() {
  exists || die 69 "no cluster is up; kind-e2e/up makes one"
  demand_ours
}

# What to eval for a shell in which kubectl, helm and the tests reach the cluster, each with `in_docker_net` before it.
print_env() {
  "$here/dockerd" env
  # shellcheck disable=SC2016
  printf 'export KUBECONFIG=%q PODINIT_E2E=1 PATH=%q:$PATH\n' "$KUBECONFIG" "$tools"
}
