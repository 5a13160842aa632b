#!/usr/bin/env python3
"""What the kernels of arm64 take on processors that are not here, by LLVM's models of them (llvm-mca), beside float32's FMLA tile on the same model.

    Scripts/arm64_cycles.py [--only PATTERN] [--strict] [--table] [--loops FILE …] [--self-test]

Compiles each file with the package's own flags, takes the loops that its rows name, and prints for each processor: operations a cycle (2 per product) and × FMLA of
tiles, with the panel decoded once for 16 and for 256 rows; weights a cycle of one row; numbers a cycle of conversions. A model is no measurement: caches, memory and
branches are ideal. apple-m1 and -m2 are modelled as Cyclone, with three vector pipes of the four. Needs clang, llvm-mca (Debian: llvm-19) and libc6-dev-arm64-cross.

The status is 1 where a loop is not found or one that its function multiplies by touches the stack; with --strict also where a goal is missed. --loops lists the loops of files.
"""

import argparse
import glob
import re
import shutil
import sys
from dataclasses import dataclass

from arm64_assembly import AssemblyError, compile_file, cycles, functions, inner_loops, loops

DOT = ("neoverse-n1", "neoverse-v1", "neoverse-v2", "apple-m1")
I8MM = ("neoverse-v1", "neoverse-v2", "apple-m2")
PLAIN = ("cortex-a72", "neoverse-n1")
YARDSTICK = ("Scripts/arm64_fmla.c", ("fmla_4x16", "fmla_8x8"))
SIMILAR = {"apple-m2": "apple-m1"}  # one model
ROWS_OF_PANEL = (16, 256)
LEAST_OPERATIONS = 64  # of a loop that must not touch the stack


@dataclass
class Row:
    """A loop of a kernel. `per`: weights or numbers of a pass; of a tile, operations where instructions cannot tell (0: they do). `goal`: a number, or one for each processor."""
    title: str
    file: str
    function: str
    kind: str  # tile, row, decode, element
    processors: tuple
    per: float = 0
    goal: object = None
    decode: str = ""             # of a tile: the title of the row that decodes its panels
    decoded_goals: tuple = ()    # × FMLA with 16 and with 256 rows
    outer: bool = False          # the loop around the innermost one, which passes once: groups of 32
    contains: str = ""           # what only this loop has, where it is not the one with the most operations
    operations: int = 0          # of the loop, where others of the function are for more rows
    vectors: int = 0             # of an element: vector instructions for 16 numbers, at most


def tile(*values, **more):
    return Row(values[0], values[1], values[2], "tile", values[3], **more)


def one_row(*values, **more):
    return Row(values[0], values[1], values[2], "row", values[3], values[4], **more)


def decode(*values):
    return Row(values[0], values[1], values[2], "decode", values[3], values[4])


def element(title, file, function, vectors, contains, per=16):
    return Row(title, file, function, "element", ("cortex-a72",) + DOT, per, vectors=vectors, contains=contains)


N1, V1 = "neoverse-n1", "neoverse-v1"
GROUPS = {N1: 2.8, V1: 3.0, "neoverse-v2": 3.3, "apple-m1": 2.8}  # × FMLA
ROWS = [
    # ---- neon
    decode("decode 4 bits, neon", "neon/gemm_many.c", "ck_decode_s4__neon", PLAIN, 128),
    tile("W8A8, neon", "neon/gemm_tiles.c", "tile_4x8", PLAIN, goal={"cortex-a72": 1.9}),
    tile("W4A8, neon", "neon/gemm_tiles.c", "tile_4x8", PLAIN, decode="decode 4 bits, neon", decoded_goals=(None, {"cortex-a72": 1.9})),
    one_row("W8A8, one row, neon", "neon/gemm_rows.c", "panel_s8", PLAIN, 256),
    one_row("W4A8, one row, neon", "neon/gemm_rows.c", "panel_s4", PLAIN, 256),
    tile("W1A1, neon", "neon/gemm_signs.c", "panel_of_rows_2", PLAIN, per=4096, contains="cnt"),
    element("float32 to FP16", "neon/round.c", "ck_round_f16_f32__neon", 4, "fcvtn"),
    element("float32 to BF16", "neon/round.c", "ck_round_bf16_f32__neon", 28, "addhn|subhn|cmtst|ushr"),
    element("float32 to uint8", "neon/quantize.c", "ck_quantize_u8_f32__neon", 21, "fcvtns"),
    element("ranges of rows", "neon/quantize.c", "ck_row_range_f32__neon", 12, "fminnm|fmin|fcmgt"),
    tile("FP16 and BF16 weights, widened", "neon/gemm_half.c", "ck_run_float_tile", ("cortex-a72",) + DOT, goal=0.98),
    one_row("FP16, one row", "neon/gemm_half.c", "direct_f16_scaled", DOT, 256, operations=512, goal={N1: 2.6, V1: 5.2}),
    one_row("BF16, one row", "neon/gemm_half.c", "direct_bf16", DOT, 256, operations=512, goal={N1: 3.9, V1: 7.8}),
    tile("CSR, 64 rows", "neon/sparse_f32.c", "slice_1x1_16", DOT, goal={N1: 0.82, V1: 0.65, "neoverse-v2": 0.65}),
    tile("4×1, 24 rows", "neon/sparse_f32.c", "slice_4x1_6", DOT, goal=0.98),
    tile("1×4 int8, 32 rows, neon", "neon/sparse_s8.c", "neighbour_strips_8", PLAIN),
    tile("convolution, 16 positions × 6 outputs", "neon/convolution.c", "block_6_4", ("cortex-a72",) + DOT, goal=0.8),
    # ---- dotprod
    decode("decode 4 bits", "neon/gemm_many.c", "ck_decode_scaled_s4__neon", DOT, 128),
    decode("decode 2 bits", "neon/gemm_many.c", "ck_decode_scaled_s2__neon", DOT, 256),
    decode("decode 1 bit", "neon/gemm_many.c", "ck_decode_set_s1__neon", DOT, 128),
    decode("decode 4 bits of groups", "neon/gemm_many.c", "ck_decode_s4__neon", DOT, 128),
    tile("W8A8", "dotprod/gemm_tiles.c", "tile_8x8", DOT, goal=3.8),
    tile("W4A8", "dotprod/gemm_tiles.c", "tile_8x8", DOT, decode="decode 4 bits", decoded_goals=(3.1, 3.7)),
    tile("W2A8, ternary", "dotprod/gemm_tiles.c", "tile_8x8", DOT, decode="decode 2 bits", decoded_goals=(3.1, 3.7)),
    tile("W1A8", "dotprod/gemm_tiles.c", "tile_8x8", DOT, decode="decode 1 bit", decoded_goals=(3.1, 3.7)),
    tile("W4A8, groups of 32", "dotprod/gemm_tiles.c", "grouped_4x8", DOT, outer=True, decode="decode 4 bits of groups",
         decoded_goals=(GROUPS, GROUPS)),
    tile("W1A1", "dotprod/gemm_signs.c", "panel_of_rows_2", DOT, per=4096, goal=10, contains="cnt"),
    one_row("W8A8, one row", "dotprod/gemm_rows.c", "panel_s8_1", DOT, 512, goal={N1: 28, V1: 42}),
    one_row("W4A8, one row", "dotprod/gemm_rows.c", "panel_s4_1", DOT, 512, goal={N1: 15, V1: 30}),
    one_row("W4A8, groups of 32, one row", "dotprod/gemm_rows.c", "grouped_panel_s4_1", DOT, 512, goal={N1: 12, V1: 25}, outer=True),
    one_row("W2A8, one row", "dotprod/gemm_rows.c", "panel_s2_1", DOT, 512, goal={N1: 15, V1: 30}),
    one_row("W2A8, groups of 32, one row", "dotprod/gemm_rows.c", "grouped_panel_s2_1", DOT, 512, goal={N1: 12, V1: 25}, outer=True),
    one_row("W4A8, four rows", "dotprod/gemm_rows.c", "panel_s4_4", DOT, 512),
    one_row("W2A8, four rows", "dotprod/gemm_rows.c", "panel_s2_4", DOT, 512),
    one_row("W1A8, one row", "neon/gemm_lookup.c", "two_panels", DOT, 1024, contains="tbl", goal={N1: 22, V1: 25}),
    one_row("W1A1, one row", "dotprod/gemm_signs.c", "panel_of_rows_1", DOT, 1024, contains="cnt", goal={N1: 80, V1: 160}),
    tile("1×4 int8, 32 rows", "dotprod/sparse_s8.c", "single_neighbours_8", DOT, goal=2.6),
    tile("4×4 int8, 24 rows", "dotprod/sparse_s8.c", "tall_neighbours_3", DOT, goal=3.9),
    tile("CSR int8, 32 rows", "dotprod/sparse_s8.c", "single_gathered_8", DOT),
    tile("2:4 int8, of the dense matrix", "dotprod/sparse_nm.c", "many_4", DOT, per=2048, contains="tbl"),
    # ---- i8mm
    decode("decode 4 bits, i8mm", "i8mm/config.c", "decode_scaled_s4", I8MM, 256),
    decode("decode 2 bits, i8mm", "i8mm/config.c", "decode_scaled_s2", I8MM, 512),
    decode("decode 1 bit, i8mm", "i8mm/config.c", "decode_set_s1", I8MM, 1024),
    decode("decode 4 bits of groups, i8mm", "i8mm/config.c", "decode_s4", I8MM, 256),
    tile("W8A8, i8mm", "i8mm/gemm_tiles.c", "tile_8x8", I8MM, goal=7.5),
    tile("W4A8, i8mm", "i8mm/gemm_tiles.c", "tile_8x8", I8MM, decode="decode 4 bits, i8mm", decoded_goals=(5.8, 7.3)),
    tile("W2A8, ternary, i8mm", "i8mm/gemm_tiles.c", "tile_8x8", I8MM, decode="decode 2 bits, i8mm", decoded_goals=(5.8, 7.3)),
    tile("W1A8, i8mm", "i8mm/gemm_tiles.c", "tile_8x8", I8MM, decode="decode 1 bit, i8mm", decoded_goals=(5.8, 7.3)),
    tile("W4A8, groups of 32, i8mm", "i8mm/gemm_tiles.c", "grouped_4x8", I8MM, outer=True, decode="decode 4 bits of groups, i8mm", decoded_goals=(4.5, 4.5)),
    one_row("W8A8, one row, i8mm", "i8mm/gemm_rows.c", "panel_s8_1", I8MM, 512, goal={V1: 42}),
    one_row("W4A8, one row, i8mm", "i8mm/gemm_rows.c", "panel_s4_1", I8MM, 512, goal={V1: 30}),
    one_row("W4A8, groups of 32, one row, i8mm", "i8mm/gemm_rows.c", "grouped_panel_s4_1", I8MM, 512, goal={V1: 25}, outer=True),
    one_row("W2A8, one row, i8mm", "i8mm/gemm_rows.c", "panel_s2_1", I8MM, 256, goal={V1: 30}),
    one_row("W2A8, groups of 32, one row, i8mm", "i8mm/gemm_rows.c", "grouped_panel_s2_1", I8MM, 512, goal={V1: 25}, outer=True),
    one_row("W1A8, one row, i8mm", "i8mm/gemm_rows.c", "panel_s1_1", I8MM, 256, goal={V1: 25}),
    tile("4×4 int8, 24 rows, i8mm", "i8mm/sparse_s8.c", "tall_strips_3", I8MM, goal=3.9),
    tile("2:4 int8, expanded, i8mm", "i8mm/sparse_nm.c", "tile_3", I8MM),
    # ---- armbf16
    tile("BF16 × BF16, BFMMLA", "armbf16/gemm_bf16.c", "run_tiles", I8MM, goal=3, contains="bfmmla"),
]


class Model:
    """Compiled files and modelled loops, each once."""

    def __init__(self):
        self.files, self.modelled = {}, {}

    def loops_of(self, file, function):
        path = file if file.startswith("Scripts/") else f"Sources/CKernels/{file}"
        if path not in self.files:
            self.files[path] = functions(compile_file(path))
        if function not in self.files[path]:
            raise AssemblyError(f"{file}: expected a function {function}, external or kept by noinline, found none")
        return loops(function, self.files[path][function])

    def loop(self, row):
        try:
            return chosen(self.loops_of(row.file, row.function), row)
        except AssemblyError as error:
            raise AssemblyError(f"{row.title}: {error}") from None

    def cycles(self, loop, processor):
        key = (tuple(loop.instructions), SIMILAR.get(processor, processor))
        if key not in self.modelled:
            self.modelled[key] = cycles(loop, processor)
        return self.modelled[key]

    def fmla(self, processor):
        file, names = YARDSTICK
        tiles = [self.loop(Row(name, file, name, "tile", ())) for name in names]
        return max(x.operations / self.cycles(x, processor) for x in tiles)


def chosen(all_loops, row):
    """Of the innermost loops the one that does most of the work; or the one around it."""
    inner = [x for x in inner_loops(all_loops) if x.count(row.contains or "") > 0]
    if not inner:
        raise AssemblyError(f"{row.file}: {row.function}: expected a loop{' with ' + row.contains if row.contains else ''}, found none")
    if row.vectors:
        best = min(inner, key=lambda x: abs(x.vector_instructions - row.vectors))
    else:
        best = max(inner, key=lambda x: (-abs(x.operations - row.operations) if row.operations else x.operations,
                                         x.vector_instructions if row.operations or not x.operations else -len(x.instructions)))
    if not row.outer:
        return best
    around = [x for x in all_loops if x.first <= best.first and best.last <= x.last and x is not best]
    if not around:
        raise AssemblyError(f"{row.file}: {row.function}: expected a loop around the innermost one, found none")
    return min(around, key=lambda x: x.last - x.first)


class Report:
    def __init__(self, model):
        self.model, self.errors, self.short = model, [], []
        self.cells = {}  # of the table, by title and processor
        self.by_title = {row.title: row for row in ROWS}

    def against(self, value, goal, title, processor):
        if isinstance(goal, dict):
            goal = goal.get(processor)
        if goal is None:
            return ""
        if value >= goal:
            return f" (≥ {goal:g})"
        self.short.append(f"{title}, {processor}: {value:.2f}, goal {goal:g}")
        return f" (SHORT of {goal:g})"

    def tile(self, row, loop, processor):
        rate, fmla = (row.per or loop.operations) / self.model.cycles(loop, processor), self.model.fmla(processor)
        text = f"{rate:6.1f} operations a cycle, {rate / fmla:5.2f} × FMLA" + self.against(rate / fmla, row.goal, row.title, processor)
        cell = f"{rate / fmla:.2f}"
        if row.decode:
            decoder = self.by_title[row.decode]
            weights = decoder.per / self.model.cycles(self.model.loop(decoder), processor)
            for rows, goal in zip(ROWS_OF_PANEL, row.decoded_goals or (None, None)):
                decoded = 1 / (1 / rate + 1 / (2 * rows * weights)) / fmla
                text += f"; {rows} rows {decoded:.2f}" + self.against(decoded, goal, f"{row.title}, {rows} rows", processor)
                cell = f"{decoded:.2f}" if rows == ROWS_OF_PANEL[0] else f"{cell}, {decoded:.2f}"
        self.cells[row.title, processor] = cell + " ×"
        return text

    def element(self, row, loop, processor):
        vectors = loop.vector_instructions * 16 / row.per
        if vectors > row.vectors and processor == row.processors[0]:
            self.short.append(f"{row.title}: {vectors:g} vector instructions for 16 numbers, goal {row.vectors}")
        self.cells[row.title, processor] = f"{row.per / self.model.cycles(loop, processor):.1f}"
        return f"{vectors:3.0f} vector instructions for 16 numbers, {row.per / self.model.cycles(loop, processor):5.2f} numbers a cycle"

    def line(self, row, processor):
        loop = self.model.loop(row)
        if row.kind == "tile":
            text = self.tile(row, loop, processor)
        elif row.kind == "element":
            text = self.element(row, loop, processor)
        else:
            rate = row.per / self.model.cycles(loop, processor)
            text = f"{rate:6.1f} weights a cycle" + self.against(rate, row.goal, row.title, processor)
            self.cells[row.title, processor] = f"{rate:.1f}"
        print(f"{row.title:36} {processor:12} {len(loop.instructions):4} instructions {self.model.cycles(loop, processor):7.2f} cycles  {text}")

    def spills(self):
        """The innermost loop of every function of arm64 that does the most, by operations, or by lookups and counts: none may touch the stack."""
        for path in sorted(x for folder in ("neon", "dotprod", "i8mm", "armbf16") for x in glob.glob(f"Sources/CKernels/{folder}/*.c")):
            file = path.split("/", 2)[2]
            for function in functions(compile_file(path)):
                found = inner_loops(self.model.loops_of(file, function))
                work = lambda x: max(x.operations, 32 * x.count("tbl|cnt"))  # noqa: E731
                loop = max(found, key=lambda x: (work(x), -x.spills), default=None)
                if loop and loop.spills and work(loop) >= LEAST_OPERATIONS:
                    self.errors.append(f"{file}: {function}: a loop of {len(loop.instructions)} instructions touches the stack {loop.spills} times")

    def table(self, rows):
        """Markdown: × FMLA of tiles (with decoding at 16 and 256 rows), weights or numbers a cycle of others."""
        columns = [("cortex-a72",), ("neoverse-n1",), ("neoverse-v1",), ("neoverse-v2",), ("apple-m1", "apple-m2")]
        print("| modelled | " + " | ".join(", ".join(names) for names in columns) + " |\n|" + "---|" * (len(columns) + 1))
        for row in rows:
            cells = [next((self.cells[row.title, x] for x in names if (row.title, x) in self.cells), "") for names in columns]
            print(f"| {row.title} | " + " | ".join(cells) + " |")


def list_loops(paths):
    for path in paths:
        for name, lines in functions(compile_file(path)).items():
            found = loops(name, lines)
            for loop in found:
                kind = "innermost" if loop in inner_loops(found) else "around"
                print(f"{name:40} lines {loop.first:4}-{loop.last:4} {kind:9} {len(loop.instructions):4} instructions, {loop.vector_instructions:4} vector, "
                      f"{loop.operations:5} operations, {loop.spills} on the stack")


def self_test():
    assembly = """
f:
	.cfi_startproc
	mov x3, #0
.LBB0_1:
	ldr q2, [x1]
.LBB0_2:                // inner
	ldr q0, [x0], #16
	sdot v1.4s, v0.16b, v2.4b[0]
	subs x4, x4, #1
	b.ne .LBB0_2
	str q1, [sp, #16]
	subs x3, x3, #1
	b.ne .LBB0_1
	ret
.Lfunc_end0:
"""
    lines = functions(assembly)["f"]
    found = loops("f", lines)
    inner, outer = found[0], found[1]
    assert [x.operations for x in found] == [32, 32] and inner_loops(found) == [inner]
    assert (inner.spills, outer.spills) == (0, 1) and inner.vector_instructions == 1
    assert len(inner.instructions) == 4 and len(outer.instructions) == 7, outer.instructions  # the branch of the inner loop is not taken
    assert cycles(inner, "neoverse-n1") > 0
    for row in (Row("", "f.c", "f", "tile", (), contains="usmmla"), Row("", "f.c", "f", "tile", (), outer=True, contains="str")):
        try:
            chosen(found, row)
        except AssemblyError:
            continue
        raise AssertionError(f"expected an error for {row}")
    try:
        Model().loops_of("Scripts/arm64_fmla.c", "missing")
    except AssemblyError as error:
        assert "missing" in str(error)
    else:
        raise AssertionError("a function that is missing was found")
    print("arm64_cycles: self-test passed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose title has this pattern; spills of other loops are not looked for")
    parser.add_argument("--strict", action="store_true", help="a goal that is missed is an error")
    parser.add_argument("--table", action="store_true", help="the table of ARCHITECTURE.md as well")
    parser.add_argument("--loops", nargs="+", metavar="FILE", help="list the loops of files")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    for tool, package in (("clang", "a toolchain of Swift, or clang"), ("llvm-mca-19", "llvm-19")):
        if shutil.which(tool) is None:
            sys.exit(f"arm64_cycles: expected {tool} ({package}), found none")
    if options.self_test:
        return self_test()
    if options.loops:
        return list_loops(options.loops)
    report = Report(Model())
    rows = [row for row in ROWS if re.search(options.only, row.title)]
    if not rows:
        sys.exit(f"arm64_cycles: expected rows with {options.only}, found none")
    for row in rows:
        for processor in row.processors:
            report.line(row, processor)
    if options.table:
        report.table(rows)
    if not options.only:
        report.spills()
    for text in report.short:
        print(f"short: {text}")
    for text in report.errors:
        print(f"error: {text}", file=sys.stderr)
    print(f"{len(rows)} kernels, {len(report.short)} goals missed, {len(report.errors)} errors")
    return 1 if report.errors or options.strict and report.short else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AssemblyError as error:
        sys.exit(f"arm64_cycles: {error}")
