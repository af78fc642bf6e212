# Models for ./dev bench engine: the shapes and types of known ones, random weights. Written once
# into the cache, 3.5 GB. Sourced by ./dev.
# shellcheck shell=sh

bench_models_version=1  # another one when shapes or types in write_bench_model.cc change

# ensure_bench_models: returns with NAME.gguf of each of $bench_models in $bench_models_dir.
ensure_bench_models() {
  bench_models_dir=$cache_dir/models/bench-$bench_models_version
  mkdir -p "$bench_models_dir"
  build release write_bench_model
  bench_models=$(build/tests/support/write_bench_model)
  for name in $bench_models; do
    [ ! -f "$bench_models_dir/$name.gguf" ] || continue
    say "writing $name.gguf to $bench_models_dir"
    build/tests/support/write_bench_model "$name" "$bench_models_dir/$name.part" ||
      die "could not write $bench_models_dir/$name.part"
    mv "$bench_models_dir/$name.part" "$bench_models_dir/$name.gguf"
  done
}
