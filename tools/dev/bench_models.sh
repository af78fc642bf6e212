# Models for ./dev bench engine: the shapes and types of known ones, random weights. Written once
# into the cache, 3.5 GB. Sourced by ./dev.
# shellcheck shell=sh

# shellcheck disable=SC2034  # for those who source this
bench_models='qwen2.5-0.5b-q4_k_m gemma-3-270m-q4_k_m'
bench_models="$bench_models llama-3.2-1b-q4_k_m llama-3.2-1b-q4_0 llama-3.2-1b-q8_0"

# ensure_bench_models: returns with NAME.gguf of each in $bench_models_dir.
ensure_bench_models() {
  bench_models_dir=$cache_dir/models/bench
  mkdir -p "$bench_models_dir"
  for name in $bench_models; do
    [ ! -f "$bench_models_dir/$name.gguf" ] || continue
    build release write_bench_model
    say "writing $name.gguf to $bench_models_dir"
    build/tests/support/write_bench_model "$name" "$bench_models_dir/$name.part" ||
      die "could not write $bench_models_dir/$name.part"
    mv "$bench_models_dir/$name.part" "$bench_models_dir/$name.gguf"
  done
}
