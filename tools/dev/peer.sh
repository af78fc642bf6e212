# llama.cpp, the peer that ./dev bench measures beside us: built once, outside the checkout.
# shellcheck shell=sh

peer_package='llama-cpp-python==0.3.36'
peer_dir=$cache_dir/peers/llama_cpp_python-0.3.36/vendor/llama.cpp
peer_flags='-DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DGGML_OPENMP=ON -DLLAMA_CURL=OFF'
peer_flags="$peer_flags -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF"

# ensure_peer: returns with llama-bench built from the sdist's own llama.cpp.
ensure_peer() {
  [ ! -x "$peer_dir/build/bin/llama-bench" ] || return 0
  mkdir -p "$state_dir"
  if [ ! -f "$peer_dir/CMakeLists.txt" ]; then
    mkdir -p "$cache_dir/peers"
    download_dir=$(mktemp -d "$cache_dir/peers/.download.XXXXXX")
    trap 'rm -rf "$download_dir"' EXIT
    say "getting llama.cpp from the Python source package $peer_package"
    # pip asks the package for its metadata and fetches what that takes; nothing is compiled.
    if ! python3 -m pip download --quiet --no-deps --no-binary :all: \
      --disable-pip-version-check --dest "$download_dir" "$peer_package" \
      >"$state_dir/peer.log" 2>&1; then
      tail -n 10 "$state_dir/peer.log" >&2
      die "pip could not get $peer_package (above: the end of $state_dir/peer.log)"
    fi
    peer_archive=$download_dir/llama_cpp_python-0.3.36.tar.gz
    tar -xzf "$peer_archive" -C "$download_dir"
    rm -rf "$cache_dir/peers/llama_cpp_python-0.3.36"
    mv "$download_dir/llama_cpp_python-0.3.36" "$cache_dir/peers/"
    rm -rf "$download_dir"
    trap - EXIT
  fi
  say "building llama.cpp once; about 10 minutes on two cores (log: $state_dir/peer.log)"
  if ! build_peer >"$state_dir/peer.log" 2>&1; then
    tail -n 30 "$state_dir/peer.log" >&2
    die "building llama.cpp failed (above: the end of $state_dir/peer.log)"
  fi
}

build_peer() {
  # shellcheck disable=SC2086  # flags are words
  cmake -S "$peer_dir" -B "$peer_dir/build" -G Ninja $peer_flags &&
    ninja -C "$peer_dir/build" -j "$(nproc)" llama-bench llama-perplexity llama-tokenize
}
