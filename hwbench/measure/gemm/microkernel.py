"""The inner kernel of the matrix multiply: one tile of C that stays in registers while A and B stream by.

`C[rows × columns] (+)= A[rows × depth] · B[depth × columns]`. The tile has as many rows and vectors as the registers
hold. B comes in vectors, packed (a panel of one tile's width, rows one after the other) or in place; every element of
A is loaded once and spread over a vector, from six rows of A as it lies in memory, which is never packed. One builder
writes all kernels; a `Variant` says which. Each is one function in the module of whoever uses it.

The design follows Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008,
but for the packing of A, which costs more here than the six streams that it would save.
"""

from collections.abc import Iterator

from llvmlite import ir
from msgspec import Struct

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.vectors import I64, SIZES, Target, constant, offset

ROWS = 6
UNROLL, UNROLL_NARROW, UNROLL_EDGE = 8, 2, 4
"""Rows of B that one round of a kernel's loop takes. With vectors of 128 bits fewer: LLVM moves loads up in a round,
for some Arm cores so far that accumulators no longer fit the registers (a test reads the machine code)."""

LINE = 64
"""Bytes of a cache line, of nearly every CPU; prefetches step by it."""

AHEAD_COPY = 4
"""Rows of the next block of B that a kernel which packs it on the side asks for early."""

ARGUMENTS = (
    "a", "row_a", "b", "row_b", "c", "row_c", "depth", "chain", "accumulate", "rows", "columns",
    "ahead", "ahead_too", "next_c", "next_b", "spread", "step_b", "source", "row_source", "copy",
)  # fmt: skip
"""What a kernel is called with: addresses and distances between rows in bytes; after how many products a sum goes to C;
whether C is added to from the start; how many rows (1 to the tile's) and columns are live; two distances from A at
which the next rows lie, and the tile of C that comes next, all three to be fetched; where B is read in place, what is
fetched of it: an address, the distance between the lines asked for beside a row of B, and how far to go on for the
next row; B's next block, the distance between its rows, and where it is to be packed."""


class Tile(Struct, frozen=True):
    """A block of C held in registers: `rows` × `vectors` vectors of `lanes` elements."""

    dtype: str
    lanes: int
    rows: int
    vectors: int

    @property
    def columns(self) -> int:
        """Columns of the tile."""
        return self.lanes * self.vectors

    @property
    def bytes(self) -> int:
        """Bytes of one row of the tile."""
        return self.columns * SIZES[self.dtype]

    @property
    def narrow(self) -> bool:
        """Whether its vectors are those of every CPU, 128 bits wide."""
        return 8 * self.lanes * SIZES[self.dtype] <= vectors.SMALLEST_BITS

    @property
    def unroll(self) -> int:
        """Rows of B that one round of the main kernel's loop takes."""
        return UNROLL_NARROW if self.narrow else UNROLL


def tile_for(dtype: str, lanes: int, target: Target) -> Tile:
    """The largest tile of six rows: its accumulators, a row of B's vectors and one of A fit the registers."""
    return Tile(dtype, lanes, ROWS, (target.registers - 1) // (ROWS + 1))


class Variant(Struct, frozen=True):
    """One kernel. The main one takes a whole tile and packed B, and may pack (`copying`) the next block on the side.

    One for the `edge` takes any distance between B's rows, fewer live rows, and a last vector that is live in part;
    it reads that vector under a mask where the target has `masks`, else B must be padded there.
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
    """The kernel as a function of the module, built when it is first asked for."""
    if variant.name in module.globals:
        return module.globals[variant.name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * len(ARGUMENTS)), variant.name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    _Emitter(function, variant).emit()
    return function


class _Emitter:
    """Writes the body of one kernel."""

    def __init__(self, function: ir.Function, variant: Variant) -> None:
        self.variant, self.tile = variant, variant.tile
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.given = dict(zip(ARGUMENTS, function.args, strict=True))
        self.type = vectors.vector(self.tile.dtype, self.tile.lanes)
        self.size = SIZES[self.tile.dtype]
        self.width = self.tile.lanes * self.size
        self.row_b = self.given["row_b"] if variant.edge else constant(self.tile.bytes)
        self.rows_a = self.offsets_of_rows("row_a")
        self.rows_c = self.offsets_of_rows("row_c")
        self.live = self.mask_of_last() if variant.edge else None

    def emit(self) -> None:
        """Go along the depth, one chain of sums after the other."""
        builder, depth, chain = self.builder, self.given["depth"], self.given["chain"]
        links = builder.sdiv(builder.add(depth, builder.sub(chain, constant(1))), chain)
        vectors.loop(builder, links, [self.given["a"], self.given["b"], depth, *self.copied()], self.link)
        builder.ret_void()

    def link(self, number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        """Sum a part of the depth in registers, from zero: in unrolled rounds, then row by row. Then add it to C.

        Sums that go on for long lose digits: the error grows with the square root of a chain's length.
        """
        builder, unroll = self.builder, self.variant.unroll
        a, b, left, *copied = values
        longer = builder.icmp_signed(">", left, self.given["chain"])
        depth = builder.select(longer, self.given["chain"], left)
        zeros = [vectors.zeros(self.type)] * (self.tile.rows * self.tile.vectors)
        start = [a, b, self.given["next_c"], *copied, *zeros]
        values = vectors.loop(builder, builder.sdiv(depth, constant(unroll)), start, self.round)
        a, b, copied, sums = values[0], values[1], values[3 : 3 + len(copied)], values[3 + len(copied) :]
        a, b, *sums = vectors.loop(builder, builder.srem(depth, constant(unroll)), [a, b, *sums], self.single)
        self.write(builder.or_(number, self.given["accumulate"]), sums)
        return [a, b, builder.sub(left, depth), *copied]

    def offsets_of_rows(self, distance: str) -> list[ir.Value]:
        """Where each row begins. Rows that are not live repeat the last live one, and so compute and write the same."""
        builder = self.builder
        offsets = [constant(0)]
        for row in range(1, self.tile.rows):
            following = builder.add(offsets[-1], self.given[distance])
            if self.variant.edge:
                live = builder.icmp_signed("<", constant(row), self.given["rows"])
                following = builder.select(live, following, offsets[-1])
            offsets.append(following)
        return offsets

    def mask_of_last(self) -> ir.Value:
        before = constant((self.tile.vectors - 1) * self.tile.lanes)
        return vectors.mask(self.builder, self.builder.sub(self.given["columns"], before), self.tile.lanes)

    def places_of_c(self) -> Iterator[tuple[ir.Value, bool]]:
        """The address of every vector of C, and whether it is one of those that are in part live."""
        for row in self.rows_c:
            start = self.builder.add(self.given["c"], row)
            for column in range(self.tile.vectors):
                last = self.variant.edge and column == self.tile.vectors - 1
                yield offset(self.builder, start, column * self.width), last

    def read(self, place: ir.Value, partly: bool) -> ir.Value:
        if partly:
            return vectors.load_masked(self.builder, place, self.type, self.size, self.live)
        return vectors.load(self.builder, place, self.type, self.size)

    def write(self, accumulate: ir.Value, sums: list[ir.Value]) -> None:
        """Write the sums to C, or add them to what stands there."""
        builder = self.builder
        places = list(self.places_of_c())

        def added() -> list[ir.Value]:
            return [builder.fadd(self.read(*place), value) for place, value in zip(places, sums, strict=True)]

        values = vectors.choose(builder, builder.icmp_signed("!=", accumulate, constant(0)), added, sums)
        for value, (place, partly) in zip(values, places, strict=True):
            if partly:
                vectors.store_masked(builder, value, place, self.size, self.live)
            else:
                vectors.store(builder, value, place, self.size)

    def copied(self) -> list[ir.Value]:
        """Where the next block of B comes from and where it is packed, or the part of B to be fetched, if any."""
        if self.variant.edge:
            return [self.given["next_b"]]
        return [self.given["source"], self.given["copy"]] if self.variant.copying else []

    def round(self, number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        """`unroll` rows of B, with what is fetched or packed on the side."""
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
            side = [builder.add(side[0], self.given["row_source"]), offset(builder, side[1], self.tile.bytes)]
        return [offset(builder, a, self.variant.unroll * self.size), b, next_c, *side, *sums]

    def single(self, _number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        """One row of B."""
        a, b, *sums = values
        sums = self.multiply(a, b, 0, sums)
        return [offset(self.builder, a, self.size), self.builder.add(b, self.row_b), *sums]

    def multiply(self, a: ir.Value, b: ir.Value, step: int, sums: list[ir.Value]) -> list[ir.Value]:
        """Add a column of A times a row of B, `step` elements along A; the main kernel's B is `step` rows on too."""
        start = offset(self.builder, b, 0 if self.variant.edge else step * self.tile.bytes)
        row_b = [self.load_b(start, column) for column in range(self.tile.vectors)]
        result = []
        for row, begin in enumerate(self.rows_a):
            place = offset(self.builder, self.builder.add(a, begin), step * self.size)
            scalar = vectors.load(self.builder, place, vectors.FLOATS[self.tile.dtype], self.size)
            spread = vectors.splat(self.builder, scalar, self.tile.lanes)
            for column, vector in enumerate(row_b):
                total = sums[row * self.tile.vectors + column]
                result.append(vectors.multiply_add(self.builder, spread, vector, total))
        return result

    def load_b(self, start: ir.Value, column: int) -> ir.Value:
        place = offset(self.builder, start, column * self.width)
        if not self.variant.edge:
            return vectors.load(self.builder, place, self.type, self.width)
        return self.read(place, self.variant.masks and column == self.tile.vectors - 1)

    def fetch_b(self, next_b: ir.Value) -> ir.Value:
        """Ask for as many lines of B (to L2) as a row of the tile has; returns where to go on."""
        place = next_b
        for _ in range(0, self.tile.bytes, LINE):
            vectors.prefetch(self.builder, place, locality=2)
            place = self.builder.add(place, self.given["spread"])
        return self.builder.add(next_b, self.given["step_b"])

    def fetch(self, number: ir.Value, a: ir.Value, next_c: ir.Value) -> ir.Value:
        """Ask for rows of A that come next (to L2) and for a row of the next tile of C; returns where its next is."""
        builder = self.builder
        for distance in ("ahead", "ahead_too"):
            vectors.prefetch(builder, builder.add(a, self.given[distance]), locality=2)
        for start in range(0, self.tile.bytes, LINE):
            vectors.prefetch(builder, offset(builder, next_c, start), write=True)
        more = builder.icmp_signed("<", number, constant(self.tile.rows - 1))
        return builder.add(next_c, builder.select(more, self.given["row_c"], constant(0)))

    def copy(self, step: int, source: ir.Value, destination: ir.Value) -> None:
        """A step's share of packing: in one round one row of the next block of B goes to its packed place."""
        builder, unroll = self.builder, self.variant.unroll
        if step == 0:
            ahead = builder.add(source, builder.mul(self.given["row_source"], constant(AHEAD_COPY)))
            for start in range(0, self.tile.bytes, LINE):
                vectors.prefetch(builder, offset(builder, ahead, start))
        for column in range(self.tile.vectors):
            if column * unroll // self.tile.vectors == step:
                value = vectors.load(builder, offset(builder, source, column * self.width), self.type, self.size)
                vectors.store(builder, value, offset(builder, destination, column * self.width), self.width)


def edges(tile: Tile, masks: bool) -> tuple[Variant, ...]:
    """Kernels for what the main one leaves over: two or four rows of its width, six rows of every width."""
    shapes = [(2, tile.vectors), (4, tile.vectors), *((tile.rows, width) for width in range(1, tile.vectors + 1))]
    return tuple(Variant(Tile(tile.dtype, tile.lanes, *shape), edge=True, masks=masks) for shape in shapes)
