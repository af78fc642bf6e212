# Debian packages: says what is missing, installs it, and asks nothing. Sourced by ./dev.
# shellcheck shell=sh

# package_names LIST...: the packages of tools/dev/packages-LIST.txt, one per line.
package_names() {
  for list in "$@"; do
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' -e 's/[[:space:]]//g' "tools/dev/packages-$list.txt"
  done
}

# missing_packages NAME...: those that are not installed. 20 ms, so it is asked every time.
missing_packages() {
  installed=$(dpkg-query -W -f='${db:Status-Status}:${Package} ' "$@" 2>/dev/null) || true
  for name in "$@"; do
    case " $installed" in
      *" installed:$name "*) ;;
      *) printf '%s\n' "$name" ;;
    esac
  done
}

# Whether a person is there to be asked for a password. Found out here, because apt runs with
# another stdin.
if [ -t 0 ]; then someone_there=yes; else someone_there=no; fi

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif [ "$someone_there" = yes ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

# apt LABEL ARGUMENT...: apt-get with a bar on a terminal; its words go to the log.
# Its status lines come on a copy of stdout that is made behind sudo, which closes all others;
# on stdout itself apt would close it for the packages' own scripts. A machine that has just
# started updates itself: apt waits for that, five minutes at most.
apt() {
  label=$1
  shift
  mkdir -p "$state_dir"
  rm -f "$state_dir/apt.failed"
  {
    # shellcheck disable=SC2016  # for the inner shell
    as_root sh -c 'DEBIAN_FRONTEND=noninteractive exec apt-get -y -o APT::Status-Fd=3 \
      -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" 3>&1' sh "$@" 2>&1 </dev/null ||
      : >"$state_dir/apt.failed"
  } | while IFS= read -r line; do
    case $line in
      dlstatus:* | pmstatus:*)
        on_terminal || continue
        rest=${line#*:}
        rest=${rest#*:}
        percent=${rest%%:*}
        case $line in
          dlstatus:*) bar "${percent%%.*}" "$label: download" ;;
          *) bar "${percent%%.*}" "$label: unpack and set up" ;;
        esac
        ;;
      *) printf '%s\n' "$line" ;;
    esac
  done >"$state_dir/apt.log"
  ! on_terminal || clear_bar
  [ ! -e "$state_dir/apt.failed" ]
}

# without_candidate NAME...: packages that the configured sources do not offer. Read in English,
# whatever the user's language.
without_candidate() {
  for name in "$@"; do
    LC_ALL=C LANGUAGE='' apt-cache policy "$name" 2>/dev/null | grep -q 'Candidate: [^(]' ||
      printf '%s ' "$name"
  done
}

# ensure_packages LIST...: returns with every package of the lists installed, or ends.
ensure_packages() {
  # shellcheck disable=SC2046  # one word per package
  missing=$(missing_packages $(package_names "$@") | tr '\n' ' ')
  missing=${missing% }
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null ||
    die "this is not Debian (no apt-get); install what these packages hold: $missing"
  [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
    die "packages are missing and there is no sudo; as root: apt-get install $missing"
  say "installing with apt-get: $missing"
  # shellcheck disable=SC2086  # words on purpose, here and below
  if [ -n "$(without_candidate $missing)" ]; then
    apt 'package lists' update || apt_failed 'apt-get update failed'
    absent=$(without_candidate $missing)
    [ -z "$absent" ] || die "no configured apt source has: ${absent% }" \
      "(Debian 12 'bookworm' main, updates and security have them all)"
  fi
  # shellcheck disable=SC2086
  if ! apt packages install --no-install-recommends $missing; then
    # Stale lists name files that the mirror no longer has: once more with fresh ones.
    apt 'package lists' update || apt_failed 'apt-get update failed'
    apt packages install --no-install-recommends $missing || apt_failed 'apt-get install failed'
  fi
}

apt_failed() {
  tail -n 20 "$state_dir/apt.log" >&2
  die "$1 (above: the end of $state_dir/apt.log)"
}
