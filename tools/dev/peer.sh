# llama.cpp, the peer that ./dev bench measures beside us: built once, outside the checkout.
# shellcheck shell=sh

peer_package='llama-cpp-python==0.3.36'
peer_dir=$cache_dir/peers/llama_cpp_python-0.3.36/vendor/llama.cpp
peer_flags='-DCMAKE_BUILD_TYPE=Release -DGGML_OPENMP=ON -DLLAMA_CURL=OFF'
peer_flags="$peer_flags -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF"

peer_programs='llama-bench llama-batched-bench llama-completion llama-perplexity llama-tokenize
  llama-quantize'

# ensure_peer [avx2]: returns with $peer_bin, the folder of llama.cpp's programs, built from the
# sdist's own sources for this CPU, or for AVX2, FMA and F16C and no more. On some virtual machines
# the AMX that the CPU lists does not hold: prefill dies by a signal, decode is well. There a build
# without AMX is measured too, $peer_bin_without_amx.
ensure_peer() {
  peer_bin_without_amx=
  if [ "${1-}" = avx2 ]; then
    # ggml's own choice where it does not ask the CPU.
    peer_flags="$peer_flags -DGGML_NATIVE=OFF"
    peer_build=$peer_dir/build-avx2
    build_peer_once
    peer_bin=$peer_build/bin
    return 0
  fi
  ensure_peer_with_amx
  status=0
  (exec "$peer_bin/llama-bench" -m "$cache_dir/models/$model_file" -p 512 -n 0 -r 1) \
    >"$state_dir/peer.log" 2>&1 || status=$?
  [ "$status" -ge 128 ] || return 0
  say "llama.cpp dies in prefill (exit code $status): measuring a build without AMX beside it"
  no_amx='-mno-amx-tile -mno-amx-int8 -mno-amx-bf16'
  peer_build=$peer_dir/build-without-amx
  build_peer_once
  peer_bin_without_amx=$peer_build/bin
}

# ensure_peer_with_amx: returns with $peer_bin built for this CPU, for those who keep off AMX.
ensure_peer_with_amx() {
  peer_flags="$peer_flags -DGGML_NATIVE=ON"
  peer_build=$peer_dir/build
  build_peer_once
  peer_bin=$peer_build/bin
}

# ensure_peer_with_rpc: returns with $peer_bin, the folder of llama.cpp's server for parts of a
# model and of what measures it; built for this CPU.
ensure_peer_with_rpc() {
  peer_flags="$peer_flags -DGGML_NATIVE=ON -DGGML_RPC=ON"
  peer_programs='ggml-rpc-server llama-bench'
  peer_build=$peer_dir/build-rpc
  build_peer_once
  peer_bin=$peer_build/bin
}

build_peer_once() {
  mkdir -p "$state_dir"
  built=yes
  for program in $peer_programs; do
    [ -x "$peer_build/bin/$program" ] || built=
  done
  [ ! "$built" ] || return 0
  if [ ! -f "$peer_dir/CMakeLists.txt" ]; then
    mkdir -p "$cache_dir/peers"
    download_dir=$(mktemp -d "$cache_dir/peers/.download.XXXXXX")
    trap 'rm -rf "$download_dir"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
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
    trap - EXIT INT TERM
  fi
  say "building llama.cpp once; about 10 minutes on two cores (log: $state_dir/peer.log)"
  if ! build_peer >"$state_dir/peer.log" 2>&1; then
    tail -n 30 "$state_dir/peer.log" >&2
    die "building llama.cpp failed (above: the end of $state_dir/peer.log)"
  fi
}

build_peer() {
  # shellcheck disable=SC2086  # flags are words
  cmake -S "$peer_dir" -B "$peer_build" -G Ninja $peer_flags \
    -DCMAKE_C_FLAGS="${no_amx-}" -DCMAKE_CXX_FLAGS="${no_amx-}" &&
    ninja -C "$peer_build" -j "$(nproc)" $peer_programs
}
