"""One step of the GPU's attention on random values, from Python.

Needs a GPU of compute capability 9.0 and a PyTorch that knows it.
"""

import ctypes
import math
import sys

import torch

BLOCK = 64
DEVICE = "cuda"


class Tensors(ctypes.Structure):
    """SeerTensors of attention_step.cc."""

    _fields_ = [
        ("num_query_heads", ctypes.c_int32),
        ("num_kv_heads", ctypes.c_int32),
        ("head_dim", ctypes.c_int32),
        ("is_fp32", ctypes.c_int32),
        ("scale", ctypes.c_float),
        ("num_words", ctypes.c_int32),
        ("num_pages", ctypes.c_int64),
        ("queries", ctypes.c_void_p),
        ("pages", ctypes.c_void_p),
        ("bits", ctypes.c_void_p),
        ("counts", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("log_sum_exp", ctypes.c_void_p),
        ("workspace", ctypes.c_void_p),
        ("workspace_bytes", ctypes.c_int64),
    ]


def load_library(path):
    library = ctypes.CDLL(path)
    library.seer_step_create.restype = ctypes.c_void_p
    library.seer_step_create.argtypes = [
        ctypes.POINTER(ctypes.c_int32),
        ctypes.c_int32,
        ctypes.POINTER(ctypes.c_int32),
        ctypes.c_int64,
    ]
    library.seer_step_destroy.argtypes = [ctypes.c_void_p]
    library.seer_workspace_bytes.restype = ctypes.c_int64
    library.seer_workspace_bytes.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.seer_attend.argtypes = [ctypes.c_void_p] * 3
    return library


class Step:
    """A batch of random slices (prompt_len, position_begin, num_rows)."""

    def __init__(self, library, slices, q_heads, kv_heads, dim, seed=0,
                 dtype=torch.bfloat16, sharpness=1.0):
        self.library = library
        self.slices, self.dim = slices, dim
        self.q_heads, self.kv_heads = q_heads, kv_heads
        random = torch.Generator(device=DEVICE).manual_seed(seed)
        normal = lambda *shape: torch.randn(
            *shape, device=DEVICE, dtype=dtype, generator=random)
        num_rows = sum(rows for _, _, rows in slices)
        self.queries = normal(num_rows, q_heads, dim) * sharpness
        ends = [begin + rows for _, begin, rows in slices]
        blocks = [-(-end // BLOCK) for end in ends]
        used = sum(blocks)
        num_pages = used + 3
        self.order = torch.randperm(num_pages, generator=random, device=DEVICE)
        self.order = self.order[:used].to(torch.int32)
        self.pages = torch.full((num_pages, 2, kv_heads, BLOCK, dim), math.nan,
                                device=DEVICE, dtype=dtype)
        self.page_tables, first = [], 0
        for end, n in zip(ends, blocks):
            table = self.order[first : first + n]
            first += n
            self.page_tables.append(table)
            for index in range(0, n, 512):
                some = table[index : index + 512].long()
                values = normal(len(some), 2, kv_heads, BLOCK, dim)
                if index + 512 >= n and end % BLOCK:
                    values[-1, :, :, end % BLOCK :] = math.nan
                self.pages[some] = values
        self.out = torch.empty_like(self.queries)
        self.log_sum_exp = torch.empty(num_rows, q_heads, device=DEVICE)
        specs = [number for s in slices for number in s]
        order = self.order.cpu().tolist()
        self.handle = library.seer_step_create(
            (ctypes.c_int32 * len(specs))(*specs), len(slices),
            (ctypes.c_int32 * used)(*order), num_pages)
        self.bits = self.counts = None
        self.workspace = torch.empty(0, device=DEVICE, dtype=torch.uint8)
        size = library.seer_workspace_bytes(
            self.handle, ctypes.byref(self._tensors()))
        self.workspace = torch.full((max(size, 1),), 255, device=DEVICE,
                                    dtype=torch.uint8)
        # Prompt tiles (sequence, block), in the batch's order.
        self.tiles = [
            (i, block)
            for i, (prompt, begin, rows) in enumerate(slices)
            if begin < prompt
            for block in range(begin // BLOCK, -(-(begin + rows) // BLOCK))
        ]

    def __del__(self):
        self.library.seer_step_destroy(self.handle)

    def set_mask(self, mask):
        """mask: bool [prompt tiles, query heads, blocks]; None: dense."""
        self.mask = mask
        if mask is None:
            self.bits = self.counts = None
            return
        tiles, heads, n = mask.shape
        words = -(-n // 64)
        padded = torch.zeros(tiles, heads, words * 64, dtype=torch.bool,
                             device=DEVICE)
        padded[:, :, :n] = mask
        weights = torch.ones(64, dtype=torch.int64, device=DEVICE)
        weights <<= torch.arange(64, device=DEVICE)
        self.bits = torch.stack([
            (padded[i].view(heads, words, 64).long() * weights).sum(-1)
            for i in range(tiles)
        ])
        self.counts = mask.sum(-1, dtype=torch.int32)
        visible = torch.tensor([b + 1 for _, b in self.tiles], device=DEVICE)
        full = self.counts == visible[:, None]
        self.blocks_read = self.counts.sum(-1).tolist()
        own = visible[:, None, None].expand(tiles, heads, 1) - 1
        self.own_blocks = mask.gather(2, own.long()).sum((1, 2)).tolist()
        self.bits[full] = -0x5A5A5A5A5A5A5A5B  # is not read

    def _tensors(self):
        address = lambda t: None if t is None else t.data_ptr()
        return Tensors(
            self.q_heads, self.kv_heads, self.dim,
            self.queries.dtype == torch.float32, 1 / math.sqrt(self.dim),
            0 if self.bits is None else self.bits.shape[2],
            self.pages.shape[0], address(self.queries), address(self.pages),
            address(self.bits), address(self.counts), address(self.out),
            address(self.log_sum_exp), address(self.workspace),
            self.workspace.numel())

    def attend(self):
        stream = torch.cuda.current_stream().cuda_stream
        if self.library.seer_attend(
            self.handle, ctypes.byref(self._tensors()), stream):
            sys.exit("seer_attend failed")

    def pairs(self):
        """(row, visible key) pairs of whole prompts inside the blocks read."""
        total = 0
        for t, (sequence, block) in enumerate(self.tiles):
            prompt = self.slices[sequence][0]
            rows = min(BLOCK, prompt - block * BLOCK)
            diagonal = rows * (rows + 1) // 2
            if self.mask is None:
                total += self.q_heads * (block * BLOCK * rows + diagonal)
            else:
                own = int(self.own_blocks[t])
                total += (int(self.blocks_read[t]) - own) * BLOCK * rows
                total += own * diagonal
        return total

    def dense_inputs(self):
        """Of a single whole prompt: q, k, v as [1, heads, rows, dim]."""
        pages = self.pages[self.page_tables[0].long()]
        n = self.slices[0][2]
        kv = pages.permute(1, 2, 0, 3, 4).reshape(2, self.kv_heads, -1, self.dim)
        return (self.queries.transpose(0, 1)[None].contiguous(),
                kv[0, :, :n][None].contiguous(), kv[1, :, :n][None].contiguous())

    def check(self, name):
        """Attends, compares, prints; whether all is as it should be.

        Sampled rows of every head are compared with float64 attention: their
        relative error may be twice that of plain attention in the step's
        dtype, and half a unit in the last place. Log-sums of exponentials,
        natural, differ by the rounding of scores in fp32.
        """
        self.out.fill_(math.nan)
        self.log_sum_exp.fill_(math.nan)
        self.attend()
        torch.cuda.synchronize()
        written = not (self.out.isnan().any() or self.log_sum_exp.isnan().any())
        error, allowed, sum_error = self._errors()
        ok = written and error <= allowed and sum_error <= 1e-3
        print(f"{'ok  ' if ok else 'FAIL'} {name}: error {error:.1e} of "
              f"{allowed:.1e} allowed, log-sum {sum_error:.0e}"
              f"{'' if written else ', rows unwritten'}", flush=True)
        return ok

    def _errors(self):
        """(error, allowed) where they are closest, worst of the log-sums."""
        worst, worst_sum, row_begin, tile_begin = (0.0, 1.0), 0.0, 0, 0
        for i, (prompt, begin, rows) in enumerate(self.slices):
            wanted = torch.cat([
                torch.arange(min(rows, 3)),
                torch.randint(0, rows, (24,)),
                torch.arange(max(0, rows - 70), rows),
            ]).unique().to(DEVICE)
            is_prompt = begin < prompt
            for head in range(self.q_heads):
                mask = None
                if is_prompt and self.mask is not None:
                    mask = self.mask[tile_begin + wanted // BLOCK, head]
                error, allowed, sum_error = self._row_errors(
                    i, row_begin + wanted, begin + wanted, head, mask)
                if math.isnan(error + sum_error):
                    return math.inf, allowed, math.inf
                if error / allowed > worst[0] / worst[1]:
                    worst = error, allowed
                worst_sum = max(worst_sum, sum_error)
            row_begin += rows
            if is_prompt:
                tile_begin += -(-rows // BLOCK)
        return (*worst, worst_sum)

    def _row_errors(self, sequence, rows, positions, head, mask):
        """(error, allowed error, error of log-sums) of a head's packed rows."""
        dtype = self.queries.dtype
        end = int(positions.max()) + 1
        pages = self.pages[self.page_tables[sequence].long()]
        kv_head = head // (self.q_heads // self.kv_heads)
        keys, values = (pages[:, kind, kv_head].reshape(-1, self.dim)[:end]
                        for kind in (0, 1))
        position = torch.arange(end, device=DEVICE)
        seen = position[None] <= positions[:, None]
        if mask is not None:
            seen &= mask[:, position // BLOCK]
        queries = self.queries[rows, head]
        scores, plain_scores = (
            (queries.to(wide) @ keys.to(wide).T / math.sqrt(self.dim)).masked_fill_(
                ~seen, -math.inf) for wide in (torch.float64, torch.float32))
        want_sum = scores.logsumexp(-1)
        want = scores.softmax(-1).nan_to_num() @ values.double()
        plain = plain_scores.softmax(-1).nan_to_num().to(dtype).float()
        plain = (plain @ values.float()).to(dtype)
        scale = want.norm().clamp_min(1e-9)
        error = (self.out[rows, head].double() - want).norm() / scale
        plain_error = (plain.double() - want).norm() / scale
        got_sum = self.log_sum_exp[rows, head].double()
        empty = want_sum == -math.inf
        if not (got_sum[empty] == -math.inf).all():
            return math.nan, 1.0, math.nan
        sums = (got_sum - want_sum)[~empty].abs()
        allowed = 2 * plain_error.item() + torch.finfo(dtype).eps / 2
        return error.item(), allowed, sums.max().item() if len(sums) else 0.0
