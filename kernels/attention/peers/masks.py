"""Sets of key blocks to measure attention with: bool [tiles, heads, blocks].

All are seeded, and read as many blocks in every row as gives the sparsity
wanted over the causal triangle; rows that see fewer read all they see.
"""

import json

import torch

from attention_step import BLOCK, DEVICE


def row_budget(n, density):
    """The count per row that gives a density of the causal triangle."""
    wanted, count = density * n * (n + 1) / 2, 1
    while sum(min(i + 1, count) for i in range(n)) < wanted:
        count += 1
    return count


def random_mask(step, sparsity, dense_last=0, seed=1):
    """The diagonal, block 0 and random ones: as many in each row."""
    random = torch.Generator(device=DEVICE).manual_seed(seed)
    n = max(b for _, b in step.tiles) + 1
    count = row_budget(n, 1 - sparsity)
    mask = torch.zeros(len(step.tiles), step.q_heads, n, dtype=torch.bool,
                       device=DEVICE)
    for t, (sequence, block) in enumerate(step.tiles):
        of_prompt = -(-step.slices[sequence][0] // BLOCK)
        if block >= of_prompt - dense_last:
            mask[t, :, : block + 1] = True
            continue
        keys = torch.rand(step.q_heads, block + 1, device=DEVICE,
                          generator=random)
        keys[:, 0], keys[:, block] = 2, 3
        chosen = keys.topk(min(count, block + 1), dim=1).indices
        mask[t].scatter_(1, chosen, True)
    return mask


def structured_mask(step, sparsity, seed=1):
    """Sinks, a local band and heavy columns, by thirds of the budget."""
    random = torch.Generator(device=DEVICE).manual_seed(seed)
    n = max(b for _, b in step.tiles) + 1
    count = row_budget(n, 1 - sparsity)
    columns = torch.rand(step.q_heads, n, device=DEVICE, generator=random)
    mask = torch.zeros(len(step.tiles), step.q_heads, n, dtype=torch.bool,
                       device=DEVICE)
    for t, (_, block) in enumerate(step.tiles):
        keys = columns[:, : block + 1].clone()
        keys[:, max(0, block + 1 - max(1, count // 3)) :] += 2
        keys[:, 0] += 4
        chosen = keys.topk(min(count, block + 1), dim=1).indices
        mask[t].scatter_(1, chosen, True)
    return mask


def empty_diagonal_mask(step, seed=1):
    """A third of the blocks, never the diagonal: some sets are empty."""
    random = torch.Generator(device=DEVICE).manual_seed(seed)
    n = max(b for _, b in step.tiles) + 1
    mask = torch.rand(len(step.tiles), step.q_heads, n, device=DEVICE,
                      generator=random) < 1 / 3
    for t, (_, block) in enumerate(step.tiles):
        mask[t, :, block:] = False
    return mask


def captured_masks(path):
    """(shape, [(sparsity, mask of each layer)]) of a file of capture_sets."""
    with open(path, "rb") as file:
        shape = json.loads(file.readline())
        bits = torch.frombuffer(bytearray(file.read()), dtype=torch.int64)
    bits = bits.view(len(shape["sparsities"]), shape["layers"], shape["tiles"],
                     shape["heads"], shape["words"], 1).to(DEVICE)
    blocks = (bits >> torch.arange(64, device=DEVICE)) & 1
    masks = blocks.bool().flatten(-2)[..., : shape["tiles"]]
    return shape, [(sparsity, list(layers)) for sparsity, layers
                   in zip(shape["sparsities"], masks)]
