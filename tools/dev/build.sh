# Configures once per preset, builds with Ninja, shows a bar or nothing. Sourced by ./dev.
# shellcheck shell=sh

# Every preset has one configuration, whichever command asks: `run` builds the target `mortar`
# of the same folder in which `test` builds everything.
build_dir() {
  case $1 in
    release) echo build ;;
    dev | asan | tsan) echo "build/$1" ;;
    *) die "there is no preset '$1' (release, dev, asan, tsan)" ;;
  esac
}

# configure PRESET: runs CMake only when the folder is new or the presets changed; Ninja itself
# runs CMake again when a CMakeLists.txt changed.
configure() {
  dir=$(build_dir "$1")
  used=$state_dir/presets-$1.json
  [ -f "$dir/build.ninja" ] && cmp -s CMakePresets.json "$used" && return 0
  mkdir -p "$state_dir"
  if ! cmake --preset "$1" >"$state_dir/configure.log" 2>&1; then
    cat "$state_dir/configure.log" >&2
    die "configuring '$1' failed (above: $state_dir/configure.log)"
  fi
  cp CMakePresets.json "$used"
}

# build PRESET TARGET...: configures where needed and builds; prints nothing but a bar.
build() {
  preset=$1
  shift
  configure "$preset"
  dir=$(build_dir "$preset")
  log=$state_dir/build-$preset.log
  if on_terminal; then
    rm -f "$log.failed"
    { run_ninja "$dir" "$@" 2>&1 || : >"$log.failed"; } | ninja_bar >"$log"
    [ -e "$log.failed" ] || return 0
  else
    run_ninja "$dir" "$@" >"$log" 2>&1 && return 0
  fi
  # Ninja prints a step's output only when the step failed or warned.
  grep -v '^\[[0-9]*/[0-9]*\] ' "$log" >&2 || true
  die "building '$preset' failed (above: what failed; all of it: $log)"
}

run_ninja() {
  dir=$1
  shift
  NINJA_STATUS='[%f/%t] ' ninja -C "$dir" -j "$(nproc)" "$@"
}

# Ninja's lines on stdin go to stdout; on the terminal they are one bar.
ninja_bar() {
  while IFS= read -r line; do
    printf '%s\n' "$line"
    case $line in
      '['*/*']'*)
        count=${line%%]*}
        count=${count#[}
        bar "$((${count%/*} * 100 / ${count#*/}))" "build: ${count}"
        ;;
    esac
  done
  clear_bar
}
