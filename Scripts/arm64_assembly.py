"""Loops of functions in clang's assembly for arm64, and what LLVM's models of processors (llvm-mca) say of them."""

import re
import subprocess
import tempfile
from dataclasses import dataclass

INCLUDES = ["-ISources/CKernels/include"]
FLAGS = ["--target=aarch64-linux-gnu", "--sysroot=/usr/aarch64-linux-gnu", "-isystem", "/usr/aarch64-linux-gnu/include", "-std=c11", "-O3",
         "-ffp-contract=off"]  # those of the package; kernels say themselves which instructions they may use
PASSES = 300

# Operations of an instruction, 2 per product: pattern of its text, count. Where a loop looks up or counts instead, its row says how many.
OPERATIONS = [
    (r"(us|s|u)mmla\b", 64), (r"bfmmla\b", 32), (r"bfdot\b", 16), (r"(us|su|s|u)dot\b.*\.4s", 32), (r"fml[as]\b.*\.4s", 8),
    (r"fn?m(add|sub)\b", 2), (r"[su]ml[as]l2?\b.*\.8h,", 16), (r"[su]mull2?\b.*\.8h,", 16),
]


class AssemblyError(Exception):
    pass


@dataclass
class Loop:
    """Instructions of a loop. Of one with a loop inside, those of a pass that goes through the inner one once."""
    function: str
    first: int  # lines within the function
    last: int
    instructions: list

    def count(self, pattern):
        return sum(bool(re.match(pattern, x)) for x in self.instructions)

    @property
    def operations(self):
        return sum(next((n for pattern, n in OPERATIONS if re.match(pattern, x)), 0) for x in self.instructions)

    @property
    def vector_instructions(self):
        """Those that take a vector pipe: no loads, stores or moves of whole registers that renaming does."""
        return sum(bool(re.search(r"\b[vqd]\d+", x)) and not re.match(r"(ld|st|prfm)", x) for x in self.instructions)

    @property
    def spills(self):
        """Accesses to the stack, by its pointer or the frame's."""
        return sum(bool(re.search(r"\[(sp|x29)\b", x)) for x in self.instructions)


def compile_file(path, clang="clang"):
    result = subprocess.run([clang, *FLAGS, *INCLUDES, "-S", "-o", "-", path], capture_output=True, text=True)
    if result.returncode != 0:
        raise AssemblyError(f"{path}: {clang} failed: {result.stderr.strip()}")
    return result.stdout


def functions(assembly):
    """The lines of each function by its name, comments cut off."""
    found = {}
    for match in re.finditer(r"^(\w+):.*?\n(.*?)^\.Lfunc_end\d+:", assembly, re.M | re.S):
        lines = [re.split(r"//", line)[0].strip().replace("\t", " ") for line in match[2].splitlines()]
        found[match[1]] = lines
    return found


def is_instruction(line):
    return bool(line) and not line.startswith((".", "#")) and not line.endswith(":")


def loops(name, lines):
    """All loops of a function, those inside of others first: stretches between a label and a branch back to it."""
    labels = {line[:-1]: i for i, line in enumerate(lines) if re.fullmatch(r"\.L\w+:", line)}
    spans = []
    for i, line in enumerate(lines):
        target = re.match(r"(?:b|b\.\w+|cbn?z \w+,|tbn?z \w+, #\d+,)\s+(\.L\w+)$", line)
        if target and labels.get(target[1], i + 1) <= i:
            spans.append((labels[target[1]], i))
    outermost_per_label = {}
    for start, end in spans:
        outermost_per_label[start] = max(end, outermost_per_label.get(start, 0))
    spans = sorted(outermost_per_label.items(), key=lambda span: span[1] - span[0])
    result = []
    for start, end in spans:
        inner_ends = {e for s, e in spans if start < s and e < end}
        body = [line for i, line in enumerate(lines[start + 1:end + 1], start + 1) if is_instruction(line) and i not in inner_ends]
        result.append(Loop(name, start, end, body))
    return result


def inner_loops(all_loops):
    return [x for x in all_loops if not any(x.first <= y.first and y.last <= x.last and x is not y for y in all_loops)]


def cycles(loop, processor, mca="llvm-mca-19"):
    """Cycles of a pass, with ideal caches and branches."""
    with tempfile.NamedTemporaryFile("w", suffix=".s") as file:
        file.write("\n".join(x for x in loop.instructions) + "\n")
        file.flush()
        result = subprocess.run([mca, "-mtriple=aarch64-linux-gnu", f"-mcpu={processor}", "-mattr=+i8mm,+bf16,+dotprod", f"-iterations={PASSES}", file.name],
                                capture_output=True, text=True)
    total = re.search(r"Total Cycles:\s+(\d+)", result.stdout)
    if not total:
        raise AssemblyError(f"{loop.function}: {mca} failed for {processor}: {result.stderr.strip().splitlines()[:2]}")
    return int(total[1]) / PASSES
