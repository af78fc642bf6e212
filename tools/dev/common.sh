# Words, paths and the progress bar of ./dev. Sourced; needs sh alone.
# shellcheck shell=sh

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# Services and containers may run without HOME.
home=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
[ -n "${XDG_CACHE_HOME:-$home}" ] ||
  die "user $(id -u) has no home to keep the model in; set HOME or XDG_CACHE_HOME"

# shellcheck disable=SC2034  # for those who source this
cache_dir=${XDG_CACHE_HOME:-$home/.cache}/mortar
state_dir=build/.dev  # logs of ./dev, and what build folders were configured with

# on_terminal: progress is for people; pipes and CI get a line per stage at most.
on_terminal() { [ -t 2 ]; }

# bar PERCENT LABEL: one line that overwrites itself. clear_bar ends it.
bar() {
  filled=$(($1 * 30 / 100))
  # The precision of %s cuts both runs of 30 characters to length.
  printf '\r[%.*s%.*s] %3d%% %-40.40s' "$filled" '##############################' \
    "$((30 - filled))" '..............................' "$1" "$2" >&2
}

clear_bar() { printf '\r%80s\r' '' >&2; }
