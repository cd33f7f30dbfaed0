"""The microkernel of the matrix multiply: one tile of C stays in registers while A and B stream by.

`C[rows × columns] (+)= A[rows × depth] · B[depth × columns]`. The tile has as many rows and vectors as the registers
hold. Every element of A is loaded once and spread over a vector. One class emits all kernels, each of which is one
function in the module of its caller; a `Variant` selects the kernel and what it may assume:

              main                                   edge
    A         6 rows, row_a apart, never packed      1 to 6 rows; the others repeat the last
    B         packed: rows of one tile's width,      any distance between rows (row_b); with masks nothing is read
              adjacent, aligned to vectors           beyond the live columns, without them B is padded
    C         a whole tile, row_c apart              live rows and columns alone are written
    depth     1 or more, summed in chains of `chain` products; a sum is added to C at a chain's end
    fetches   rows of A, the next tile of C          the same, and B in place (next_b)
    `copying` also packs rows of B's next block      -

Elements of a row are adjacent everywhere; A, C and a B in place are aligned to an element only.

The design follows Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008,
except for packing A, which costs more here than the six streams that it would save.
"""

from collections.abc import Iterator

from llvmlite import ir
from msgspec import Struct, structs

from hwbench.measure.codegen import dots, vectors
from hwbench.measure.codegen.vectors import SIZES, Target, constant, offset

ROWS = 6
"""Rows of a tile."""

UNROLL, UNROLL_NARROW, UNROLL_EDGE = 8, 2, 4
"""Rows of B in one round of a kernel's loop; fewer with vectors of 128 bits, since LLVM moves loads up in a round, for
some Arm cores so far that accumulators no longer fit the registers (a test reads the machine code)."""

LINE = 64
"""Bytes of a cache line on nearly every CPU; prefetches step by it."""

AHEAD_COPY = 4
"""Rows of the next block of B that a kernel which packs it fetches early."""

ARGUMENTS = (
    "a", "row_a", "b", "row_b", "c", "row_c", "depth", "chain", "accumulate", "rows", "columns",
    "ahead", "ahead_too", "next_c", "next_b", "spread", "step_b", "source", "row_source", "copy", "bias", "adds",
)  # fmt: skip
"""Arguments of a kernel, all 64-bit integers. `a`, `b`, `c` are addresses, `row_…` distances between rows in bytes.
`accumulate`: whether C is added to from the start; `rows`, `columns`: live ones. Fetched are two rows of A at distances
`ahead` and `ahead_too`, the next tile of C at `next_c` and, of a B in place, lines from `next_b` on that are `spread`
bytes apart, with `step_b` bytes to the lines of the next row. Rows of B's next block, `row_source` apart, are packed
from `source` to `copy`. Sums of int8 begin with the row at `bias` where `adds`, the same for all rows."""


class Tile(Struct, frozen=True):
    """A block of C held in registers: `rows` × `vectors` vectors of `lanes` elements.

    `dot` is LLVM's name of the instruction that multiplies lanes of a narrow dtype.
    """

    dtype: str
    lanes: int
    rows: int
    vectors: int
    dot: str = ""

    @property
    def size(self) -> int:
        """Bytes of one lane."""
        return SIZES[self.dtype]

    @property
    def type(self) -> ir.VectorType:
        """LLVM's type of its vectors."""
        return vectors.vector(self.dtype, self.lanes)

    @property
    def width(self) -> int:
        """Bytes of one vector."""
        return self.lanes * self.size

    @property
    def columns(self) -> int:
        """Columns of the tile."""
        return self.lanes * self.vectors

    @property
    def bytes(self) -> int:
        """Bytes of one row of the tile."""
        return self.columns * self.size

    @property
    def narrow(self) -> bool:
        """Whether its vectors are those of every CPU, 128 bits wide."""
        return 8 * self.width <= vectors.MIN_BITS

    @property
    def unroll(self) -> int:
        """Rows of B that one round of the main kernel's loop takes."""
        return UNROLL_NARROW if self.narrow else UNROLL

    def load(self, builder: ir.IRBuilder, address: ir.Value, on: ir.Value | None = None) -> ir.Value:
        """Emit a vector from the address of an element on, or the elements of it whose mask is on."""
        return vectors.load(builder, address, self.type, self.size, on)

    def spread(self, builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
        """Emit a vector with the element at an address in every lane."""
        return vectors.splat(builder, vectors.load(builder, address, self.type.element, self.size), self.lanes)

    def multiply_add(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value, total: ir.Value) -> ir.Value:
        """Emit a · b + total in each lane, a sum of products where a lane holds several elements."""
        if self.dot:
            return dots.dot(builder, self.dot, a, b, total)
        return vectors.multiply_add(builder, a, b, total)


def tile_for(dtype: str, lanes: int, target: Target) -> Tile:
    """Return the largest tile of six rows: accumulators, a row of B's vectors and one vector of A fit the registers."""
    kind = dots.by_lane(dtype, target)
    intrinsic = kind.intrinsics[8 * SIZES[dtype] * lanes] if kind else ""
    return Tile(dtype, lanes, ROWS, (target.registers - 1) // (ROWS + 1), intrinsic)


class Variant(Struct, frozen=True):
    """One kernel: the main one, the main one that packs the next block (`copying`), or one for the `edge`.

    An edge kernel reads the last vector of a row under a mask where the target has `masks`; else B must be padded.
    """

    tile: Tile
    edge: bool = False
    copying: bool = False
    masks: bool = True

    @property
    def unroll(self) -> int:
        """Rows of B that one round of its loop takes."""
        return min(UNROLL_EDGE, self.tile.unroll) if self.edge else self.tile.unroll

    @property
    def name(self) -> str:
        """Its name among the functions of a module."""
        kind = "edge" if self.edge else "copying" if self.copying else "main"
        return f"hwbench_{kind}_{self.tile.dtype}x{self.tile.lanes}_{self.tile.rows}x{self.tile.vectors}"


def kernel(module: ir.Module, variant: Variant) -> ir.Function:
    """Return the kernel as a function of the module, emitted on first use."""
    return vectors.function(
        module, variant.name, ARGUMENTS, lambda builder, by_name: _Emitter(builder, by_name, variant).emit()
    )


def repeated(
    builder: ir.IRBuilder, start: ir.Value, distance: ir.Value, count: int, live: ir.Value | None
) -> list[ir.Value]:  # fmt: skip
    """Emit places a distance apart; those beyond the live ones, where that many are stated, are the last live one."""
    places = [start]
    for number in range(1, count):
        following = builder.add(places[-1], distance)
        if live is not None:
            alive = builder.icmp_signed("<", constant(number), live)
            following = builder.select(alive, following, places[-1])
        places.append(following)
    return places


Place = tuple[ir.Value, ir.Value | None]
"""The address of a vector of C, and the mask of its live elements, None for all."""


def write_sums(
    builder: ir.IRBuilder, sums: list[ir.Value], places: list[Place], add: ir.Value, align: int,
    begins: list[Place] | None = None,
) -> None:  # fmt: skip
    """Emit writing sums to C, or adding them where `add`: all is read before one is written, as places may repeat.

    They are added to what is at `begins` where that is not C.
    """

    def added() -> list[ir.Value]:
        return [vectors.add(builder, vectors.load(builder, place, value.type, align, on), value)
                for value, (place, on) in zip(sums, begins or places, strict=True)]  # fmt: skip

    values = vectors.choose(builder, add, added, sums)
    for value, (place, on) in zip(values, places, strict=True):
        vectors.store(builder, value, place, align, on)


class _Emitter:
    """Emits the body of one kernel; `arguments` are its arguments by name."""

    def __init__(self, builder: ir.IRBuilder, arguments: dict[str, ir.Value], variant: Variant) -> None:
        self.builder, self.arguments, self.variant, self.tile = builder, arguments, variant, variant.tile
        self.row_b = arguments["row_b"] if variant.edge else constant(self.tile.bytes)
        # Rows that are not live repeat the last live one, whose values they write too.
        live = arguments["rows"] if variant.edge else None
        self.rows_a = repeated(builder, constant(0), arguments["row_a"], self.tile.rows, live)
        self.rows_c = repeated(builder, constant(0), arguments["row_c"], self.tile.rows, live)
        self.live: ir.Value | None = None
        if variant.edge:
            before = constant((self.tile.vectors - 1) * self.tile.lanes)
            self.live = vectors.mask(builder, builder.sub(arguments["columns"], before), self.tile.lanes)

    def emit(self) -> None:
        """Emit the loop along the depth, one chain of sums after the other."""
        builder, depth, chain = self.builder, self.arguments["depth"], self.arguments["chain"]
        links = builder.sdiv(builder.add(depth, builder.sub(chain, constant(1))), chain)
        vectors.loop(builder, links, [self.arguments["a"], self.arguments["b"], depth, *self.copied()], self.link)

    def link(self, number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        """Emit a chain: a sum in registers from zero, in unrolled rounds, then row by row, which is then added to C.

        Long sums lose digits: the error grows with the square root of a chain's length.
        """
        builder, unroll = self.builder, self.variant.unroll
        a, b, left, *copied = values
        longer = builder.icmp_signed(">", left, self.arguments["chain"])
        depth = builder.select(longer, self.arguments["chain"], left)
        zeros = [vectors.zeros(self.tile.type)] * (self.tile.rows * self.tile.vectors)
        start = [a, b, self.arguments["next_c"], *copied, *zeros]
        values = vectors.loop(builder, builder.sdiv(depth, constant(unroll)), start, self.round)
        a, b, copied, sums = values[0], values[1], values[3 : 3 + len(copied)], values[3 + len(copied) :]
        a, b, *sums = vectors.loop(builder, builder.srem(depth, constant(unroll)), [a, b, *sums], self.single)
        accumulate = builder.or_(number, self.arguments["accumulate"])
        add = builder.icmp_signed("!=", accumulate, constant(0))
        places, begins = list(self.vectors_of(self.arguments["c"], self.rows_c)), None
        if self.tile.dtype == "int8":
            rows = [builder.select(add, row, constant(0)) for row in self.rows_c]
            begins = list(self.vectors_of(builder.select(add, self.arguments["c"], self.arguments["bias"]), rows))
            add = builder.or_(add, builder.icmp_signed("!=", self.arguments["adds"], constant(0)))
        write_sums(builder, sums, places, add, self.tile.size, begins)
        return [a, b, builder.sub(left, depth), *copied]

    def vectors_of(self, begin: ir.Value, rows: list[ir.Value]) -> Iterator[Place]:
        """Yield every vector of a tile from an address on, whose rows are so many bytes from it."""
        for row in rows:
            start = self.builder.add(begin, row)
            for column in range(self.tile.vectors):
                last = column == self.tile.vectors - 1
                yield offset(self.builder, start, column * self.tile.width), self.live if last else None

    def copied(self) -> list[ir.Value]:
        """Return the addresses that move along with the rounds: source and copy, or what is fetched of B in place."""
        if self.variant.edge:
            return [self.arguments["next_b"]]
        return [self.arguments["source"], self.arguments["copy"]] if self.variant.copying else []

    def round(self, number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        """Emit `unroll` rows of B, with what is fetched or packed meanwhile."""
        builder, copied = self.builder, len(self.copied())
        a, b, next_c, side, sums = values[0], values[1], values[2], values[3 : 3 + copied], values[3 + copied :]
        next_c = self.fetch(number, a, next_c)
        for step in range(self.variant.unroll):
            if self.variant.copying:
                self.copy(step, *side)
            sums = self.multiply(a, b, step, sums)
            if self.variant.edge:
                b, side = builder.add(b, self.row_b), [self.fetch_b(*side)]
        if not self.variant.edge:
            b = offset(builder, b, self.variant.unroll * self.tile.bytes)
        if self.variant.copying:
            side = [builder.add(side[0], self.arguments["row_source"]), offset(builder, side[1], self.tile.bytes)]
        return [offset(builder, a, self.variant.unroll * self.tile.size), b, next_c, *side, *sums]

    def single(self, _number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        """Emit one row of B."""
        a, b, *sums = values
        sums = self.multiply(a, b, 0, sums)
        return [offset(self.builder, a, self.tile.size), self.builder.add(b, self.row_b), *sums]

    def multiply(self, a: ir.Value, b: ir.Value, step: int, sums: list[ir.Value]) -> list[ir.Value]:
        """Emit adding a column of A times a row of B, `step` elements along A (and rows of packed B)."""
        start = offset(self.builder, b, 0 if self.variant.edge else step * self.tile.bytes)
        row_b = [self.load_b(start, column) for column in range(self.tile.vectors)]
        result = []
        for row, begin in enumerate(self.rows_a):
            place = offset(self.builder, self.builder.add(a, begin), step * self.tile.size)
            spread = self.tile.spread(self.builder, place)
            for column, vector in enumerate(row_b):
                total = sums[row * self.tile.vectors + column]
                result.append(self.tile.multiply_add(self.builder, spread, vector, total))
        return result

    def load_b(self, start: ir.Value, column: int) -> ir.Value:
        place = offset(self.builder, start, column * self.tile.width)
        if not self.variant.edge:
            return vectors.load(self.builder, place, self.tile.type, self.tile.width)
        masked = self.variant.masks and column == self.tile.vectors - 1
        return self.tile.load(self.builder, place, self.live if masked else None)

    def fetch_b(self, next_b: ir.Value) -> ir.Value:
        """Emit fetching as many lines of B (to L2) as a row of the tile has; the value is where to go on."""
        place = next_b
        for _ in range(0, self.tile.bytes, LINE):
            vectors.prefetch(self.builder, place, locality=2)
            place = self.builder.add(place, self.arguments["spread"])
        return self.builder.add(next_b, self.arguments["step_b"])

    def fetch(self, number: ir.Value, a: ir.Value, next_c: ir.Value) -> ir.Value:
        """Emit fetching the next rows of A (to L2) and a row of the next tile of C, whose next row is the value."""
        builder = self.builder
        for distance in ("ahead", "ahead_too"):
            vectors.prefetch(builder, builder.add(a, self.arguments[distance]), locality=2)
        for start in range(0, self.tile.bytes, LINE):
            vectors.prefetch(builder, offset(builder, next_c, start), write=True)
        more = builder.icmp_signed("<", number, constant(self.tile.rows - 1))
        return builder.add(next_c, builder.select(more, self.arguments["row_c"], constant(0)))

    def copy(self, step: int, source: ir.Value, destination: ir.Value) -> None:
        """Emit a step's share of packing: each round packs one row of the next block of B."""
        builder, unroll = self.builder, self.variant.unroll
        if step == 0:
            ahead = builder.add(source, builder.mul(self.arguments["row_source"], constant(AHEAD_COPY)))
            for start in range(0, self.tile.bytes, LINE):
                vectors.prefetch(builder, offset(builder, ahead, start))
        for column in range(self.tile.vectors):
            if column * unroll // self.tile.vectors == step:
                value = self.tile.load(builder, offset(builder, source, column * self.tile.width))
                vectors.store(builder, value, offset(builder, destination, column * self.tile.width), self.tile.width)


def edges(tile: Tile, masks: bool) -> tuple[Variant, ...]:
    """Return the kernels for the rest of C: two or four rows of the main one's width, six rows of every width."""
    shapes = [(2, tile.vectors), (4, tile.vectors), *((tile.rows, width) for width in range(1, tile.vectors + 1))]
    return tuple(
        Variant(structs.replace(tile, rows=rows, vectors=width), edge=True, masks=masks) for rows, width in shapes
    )
